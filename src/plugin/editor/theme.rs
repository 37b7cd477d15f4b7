//! Colours, type and spacing.
use egui::{
    Color32, Context, CornerRadius, FontData, FontDefinitions, FontFamily, FontId, Margin, Stroke,
    Theme, Visuals,
};

/// Window background.
pub(super) const BACKGROUND: Color32 = Color32::from_rgb(0x0E, 0x11, 0x17);
/// Panels on the background.
pub(super) const PANEL: Color32 = Color32::from_rgb(0x16, 0x1B, 0x23);
/// Wells: areas sunk into a panel.
pub(super) const WELL: Color32 = Color32::from_rgb(0x0A, 0x0D, 0x12);
/// Lines and tracks.
pub(super) const LINE: Color32 = Color32::from_rgb(0x2A, 0x32, 0x3E);
/// Text.
pub(super) const TEXT: Color32 = Color32::from_rgb(0xEC, 0xF0, 0xF5);
/// Labels: 6.8:1 on the panel.
pub(super) const LABEL: Color32 = Color32::from_rgb(0x9A, 0xA6, 0xB6);
/// The voice, and active controls.
pub(super) const VOICE: Color32 = Color32::from_rgb(0x62, 0xE6, 0xC4);
/// What is removed.
pub(super) const NOISE: Color32 = Color32::from_rgb(0xFF, 0x8A, 0x5B);
/// Clipping, and invalid text.
pub(super) const ALARM: Color32 = Color32::from_rgb(0xFF, 0x4D, 0x5E);

/// Corner of panels.
pub(super) const CORNER: f32 = 8.0;

/// Regular text of a size in points.
pub(super) fn regular(size: f32) -> FontId {
    FontId::new(size, FontFamily::Proportional)
}

/// Bold text.
pub(super) fn strong(size: f32) -> FontId {
    FontId::new(size, FontFamily::Name("strong".into()))
}

/// A colour between two, `t` from 0 to 1.
pub(super) fn mix(a: Color32, b: Color32, t: f32) -> Color32 {
    let part = |a: u8, b: u8| (f32::from(a) + (f32::from(b) - f32::from(a)) * t) as u8;
    Color32::from_rgb(part(a.r(), b.r()), part(a.g(), b.g()), part(a.b(), b.b()))
}

/// Fonts and egui's own widgets (text fields, tooltips) in this look.
pub(super) fn install(ctx: &Context) {
    let mut fonts = FontDefinitions::empty();
    let inter = |bytes: &'static [u8]| std::sync::Arc::new(FontData::from_static(bytes));
    fonts.font_data.insert("regular".to_owned(), inter(include_bytes!("fonts/Inter-Regular.otf")));
    fonts.font_data.insert("strong".to_owned(), inter(include_bytes!("fonts/Inter-SemiBold.otf")));
    fonts.families.insert(FontFamily::Proportional, vec!["regular".to_owned()]);
    fonts.families.insert(FontFamily::Monospace, vec!["regular".to_owned()]);
    fonts.families.insert(FontFamily::Name("strong".into()), vec!["strong".to_owned()]);
    ctx.set_fonts(fonts);

    ctx.set_theme(Theme::Dark);
    let mut visuals = Visuals::dark();
    visuals.override_text_color = Some(TEXT);
    visuals.panel_fill = BACKGROUND;
    visuals.window_fill = PANEL;
    visuals.window_stroke = Stroke::new(1.0, LINE);
    visuals.text_edit_bg_color = Some(WELL);
    visuals.extreme_bg_color = WELL;
    visuals.selection.bg_fill = mix(PANEL, VOICE, 0.4);
    visuals.selection.stroke = Stroke::new(1.0, VOICE);
    visuals.window_corner_radius = CornerRadius::same(6);
    visuals.menu_corner_radius = CornerRadius::same(6);
    ctx.set_visuals(visuals);
    ctx.global_style_mut(|style| {
        style.spacing.menu_margin = Margin::symmetric(10, 8);
        style.interaction.tooltip_delay = 0.6;
        style.spacing.tooltip_width = 260.0;
        for font in style.text_styles.values_mut() {
            *font = regular(13.0);
        }
    });
}
