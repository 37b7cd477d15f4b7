# Uninstalls what install.ps1 installed. Keeps your own presets and sessions.
$ErrorActionPreference = "Stop"
$common = Join-Path $env:LOCALAPPDATA "Programs\Common"
$programs = Join-Path $env:LOCALAPPDATA "Programs\Wisp"

$paths = @(
    (Join-Path $common "VST3\wisp.vst3"),
    (Join-Path $common "CLAP\wisp.clap"),
    (Join-Path $programs "wisp.exe"),
    (Join-Path $programs "wisp-standalone.exe")
)
foreach ($path in $paths) {
    if (Test-Path -LiteralPath $path) {
        Remove-Item -LiteralPath $path -Recurse -Force
        Write-Output "removed $path"
    }
}
$presets = Join-Path ([Environment]::GetFolderPath("MyDocuments")) "VST3 Presets\Wisp\Wisp"
foreach ($preset in @("Voice-over", "Podcast", "Streaming mic", "Phone call", "Noisy room", "Gentle")) {
    $path = Join-Path $presets "$preset.vstpreset"
    if (Test-Path -LiteralPath $path) {
        Remove-Item -LiteralPath $path -Force
        Write-Output "removed $path"
    }
}
