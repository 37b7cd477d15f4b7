//! Why weights cannot be used.
use std::path::PathBuf;

/// The error of an underlying library.
type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why a weights file was rejected. [`source`](std::error::Error::source) returns the underlying error, if any.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WeightsError {
    /// The file cannot be read.
    #[error("{} cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The file was read, but does not contain weights for this network.
    #[error("{} is not a set of weights for this network", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: Box<WeightsError>,
    },
    /// The file is larger than any weights file for this network.
    #[error("{actual} bytes, expected at most {expected}")]
    TooLarge {
        /// The largest accepted size.
        expected: usize,
        /// The file's size.
        actual: usize,
    },
    /// Not a safetensors file, or a damaged one.
    #[error("not a complete safetensors file")]
    Format {
        /// What is wrong with it.
        source: Cause,
    },
    /// A tensor's data lies outside the file.
    #[error("tensor `{name}`: data ends at byte {end} of {len}")]
    Offsets {
        /// The tensor.
        name: String,
        /// End of its data.
        end: u64,
        /// Length of the file.
        len: usize,
    },
    /// The metadata has no entry `wisp`.
    #[error("no metadata entry `wisp`: not weights of this network")]
    NoMetadata,
    /// The metadata entry `wisp` cannot be read.
    #[error("metadata entry `wisp` cannot be read")]
    Metadata {
        /// What is wrong with it.
        source: Cause,
    },
    /// The file was written for another version.
    #[error("format {actual}, expected {expected}")]
    Version {
        /// The format that this version reads.
        expected: u32,
        /// The file's format.
        actual: u32,
    },
    /// A size outside the network's limits.
    #[error("size `{name}` is {actual}, expected {expected}")]
    Size {
        /// Field of the sizes.
        name: &'static str,
        /// The allowed values.
        expected: &'static str,
        /// The value in the file.
        actual: usize,
    },
    /// A tensor is missing.
    #[error("tensor `{0}` is missing")]
    Missing(String),
    /// A tensor does not hold `f32`.
    #[error("tensor `{name}` holds {actual}, expected F32")]
    Type {
        /// The tensor.
        name: String,
        /// Its type, as safetensors calls it.
        actual: String,
    },
    /// A tensor has the wrong shape.
    #[error("tensor `{name}` has shape {actual:?}, expected {expected:?}")]
    Shape {
        /// The tensor.
        name: String,
        /// The shape that the sizes require.
        expected: Vec<usize>,
        /// Its shape.
        actual: Vec<usize>,
    },
    /// A weight is NaN or infinite.
    #[error("tensor `{name}`: element {index} is {value}")]
    NotFinite {
        /// The tensor.
        name: String,
        /// Index of the element.
        index: usize,
        /// The element.
        value: f32,
    },
    /// Tensors that this network does not use.
    #[error("tensors left over: {}", .0.join(", "))]
    LeftOver(Vec<String>),
}

impl WeightsError {
    pub(crate) fn format(cause: safetensors::SafeTensorError) -> Self {
        Self::Format { source: cause.into() }
    }

    pub(crate) fn metadata(cause: serde_json::Error) -> Self {
        Self::Metadata { source: cause.into() }
    }
}
