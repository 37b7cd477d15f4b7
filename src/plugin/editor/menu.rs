//! The preset's name in the header, and its menu.
use egui::{
    Align2, CursorIcon, Key, Popup, PopupCloseBehavior, Rect, Sense, Stroke, StrokeKind, TextEdit,
    Ui, pos2, vec2,
};

use super::button::{self, Sign};
use super::dial::button_info;
use super::gestures::Gestures;
use super::layout::Layout;
use super::theme::{self, LABEL, LINE, NOISE, PANEL, TEXT, VOICE};
use crate::plugin::presets::{FACTORY, PresetError, Presets};

/// Width of the menu and height of its lines.
const WIDTH: f32 = 232.0;
const LINE_HEIGHT: f32 = 26.0;

/// A line for the footer, and whether something went wrong.
pub(super) struct Notice {
    pub text: String,
    pub alarm: bool,
}

/// State of the menu while the window is open.
pub(super) struct PresetMenu {
    presets: Result<Presets, PresetError>,
    /// The user's presets; read when the menu opens.
    names: Vec<String>,
    open: bool,
    saving: Option<Saving>,
}

/// A name being typed.
struct Saving {
    name: String,
    /// The name exists, and the user has been asked whether to replace it.
    asked: bool,
    fresh: bool,
}

impl PresetMenu {
    pub(super) fn new() -> Self {
        Self { presets: Presets::of_user(), names: Vec::new(), open: false, saving: None }
    }

    /// Draws name, arrows and menu; returns a message.
    pub(super) fn show(
        &mut self,
        ui: &mut Ui,
        layout: &Layout,
        gestures: &Gestures<'_>,
    ) -> Option<Notice> {
        let mut notice = None;
        let name = gestures.params.sound_memory(|memory| memory.preset.name.clone());
        let well = layout.previous_preset.union(layout.next_preset);
        ui.painter().rect_filled(well, 6.0, PANEL);
        if button::sign(ui, layout.previous_preset, Sign::Previous, true, "Previous preset") {
            notice = self.step(&name, -1, gestures);
        }

        let rect = layout.preset;
        let response = ui.interact(rect, ui.scope_id().with("preset"), Sense::click());
        response.widget_info(|| button_info(false, "Preset"));
        let lit = response.hovered() || self.open;
        let painter = ui.painter_at(rect);
        button::focus(&painter, &response);
        let (text, color) = match (name.is_empty(), lit) {
            (true, false) => ("Presets", LABEL),
            (true, true) => ("Presets", TEXT),
            (false, _) => (&*name, TEXT),
        };
        let mut text = text.to_owned();
        if !name.is_empty() && gestures.is_changed() {
            text.push_str(" *");
        }
        let place = rect.center() - vec2(6.0, 0.0);
        let shown = painter.text(place, Align2::CENTER_CENTER, text, theme::strong(12.5), color);
        let sign = pos2((shown.right() + 12.0).min(rect.right() - 8.0), rect.center().y);
        button::menu_sign(&painter, sign, LABEL);
        let response = response
            .on_hover_cursor(CursorIcon::PointingHand)
            .on_hover_text("Load or save a preset");

        if button::sign(ui, layout.next_preset, Sign::Next, true, "Next preset") {
            notice = self.step(&name, 1, gestures);
        }

        let popup = Popup::from_toggle_button_response(&response)
            .close_behavior(PopupCloseBehavior::CloseOnClickOutside)
            .width(WIDTH)
            .gap(4.0);
        let open = popup.is_open();
        if open && !self.open {
            self.saving = None;
            self.read();
        }
        self.open = open;
        let mut close = false;
        popup.show(|ui| {
            ui.spacing_mut().item_spacing.y = 0.0;
            let (said, done) = self.lines(ui, &name, gestures);
            close = done;
            if said.is_some() {
                notice = said;
            }
        });
        if close {
            Popup::close_all(ui.ctx());
        }
        notice
    }

    fn read(&mut self) {
        if let Ok(presets) = &self.presets {
            self.names = presets.names();
        }
    }

    /// Contents of the open menu; returns a message, and whether to close the menu.
    fn lines(
        &mut self,
        ui: &mut Ui,
        name: &str,
        gestures: &Gestures<'_>,
    ) -> (Option<Notice>, bool) {
        let mut chosen = None;
        heading(ui, "FACTORY");
        for preset in &FACTORY {
            if line(ui, preset.name, preset.name == name, preset.purpose) {
                chosen = Some(preset.name.to_owned());
            }
        }
        if !self.names.is_empty() {
            heading(ui, "USER");
            egui::ScrollArea::vertical().max_height(6.0 * LINE_HEIGHT).show(ui, |ui| {
                for own in &self.names {
                    if line(ui, own, own == name, "") {
                        chosen = Some(own.clone());
                    }
                }
            });
        }
        if let Some(chosen) = chosen {
            return (self.load(&chosen, gestures), true);
        }
        rule(ui);
        if self.saving.is_some() {
            return self.save_line(ui, gestures);
        }
        let folder = self.presets.as_ref().map(|p| p.folder().display().to_string());
        let tooltip = match &folder {
            Ok(folder) => format!("Saves these settings as a file in {folder}"),
            Err(error) => error.to_string(),
        };
        if line(ui, "Save as…", false, &tooltip) {
            let own = self.names.iter().any(|own| own == name);
            let name = if own { name.to_owned() } else { String::new() };
            self.saving = Some(Saving { name, asked: false, fresh: true });
        }
        (None, false)
    }

    /// The field for the name; Enter or the button saves.
    fn save_line(&mut self, ui: &mut Ui, gestures: &Gestures<'_>) -> (Option<Notice>, bool) {
        let Some(saving) = &mut self.saving else { return (None, false) };
        let (rect, _) = ui.allocate_exact_size(vec2(WIDTH, 36.0), Sense::hover());
        let word = if saving.asked { "Replace" } else { "Save" };
        let button = Rect::from_min_max(pos2(rect.right() - 66.0, rect.top() + 4.0), rect.max)
            .shrink2(vec2(0.0, 2.0));
        let field = Rect::from_min_max(
            pos2(rect.left() + 2.0, rect.top() + 6.0),
            pos2(button.left() - 8.0, rect.bottom() - 2.0),
        );
        let edit = TextEdit::singleline(&mut saving.name)
            .hint_text("Name")
            .align(Align2::LEFT_CENTER)
            .char_limit(60)
            .font(theme::regular(13.0));
        let edit = ui.put(field, edit);
        if saving.fresh {
            edit.request_focus();
            saving.fresh = false;
        }
        if edit.changed() {
            saving.asked = false;
        }
        let press = ui.interact(button, ui.scope_id().with("save"), Sense::click());
        press.widget_info(|| button_info(false, word));
        let color = if saving.asked { NOISE } else { VOICE };
        let fill = theme::mix(PANEL, color, if press.hovered() { 0.35 } else { 0.2 });
        ui.painter().rect_filled(button, 6.0, fill);
        let edge = Stroke::new(1.0, color.gamma_multiply(0.7));
        ui.painter().rect_stroke(button, 6.0, edge, StrokeKind::Inside);
        let font = theme::strong(12.0);
        ui.painter().text(button.center(), Align2::CENTER_CENTER, word, font, TEXT);
        let entered = edit.lost_focus() && ui.input(|i| i.key_pressed(Key::Enter));
        if !(press.clicked() || entered) {
            return (None, false);
        }

        let name = saving.name.trim().to_owned();
        let result = match &self.presets {
            Ok(presets) => presets.save(&name, gestures.params, saving.asked),
            Err(_) => Err(PresetError::NoFolder),
        };
        match result {
            Ok(()) => {
                gestures.saved(&name);
                self.saving = None;
                self.read();
                (Some(Notice { text: format!("Saved “{name}”"), alarm: false }), true)
            }
            Err(error) => {
                saving.asked = matches!(error, PresetError::Exists(_));
                saving.fresh = true;
                let more = if saving.asked { ". Replace it?" } else { "" };
                (Some(Notice { text: format!("{error}{more}"), alarm: true }), false)
            }
        }
    }

    /// Steps through the presets, forwards or backwards.
    fn step(&mut self, name: &str, by: isize, gestures: &Gestures<'_>) -> Option<Notice> {
        self.read();
        let own = self.names.iter().map(String::as_str);
        let all: Vec<&str> = FACTORY.iter().map(|preset| preset.name).chain(own).collect();
        let count = all.len() as isize;
        let next = match all.iter().position(|other| *other == name) {
            Some(at) => (at as isize + by).rem_euclid(count),
            None if by < 0 => count - 1,
            None => 0,
        };
        let next = all[next as usize].to_owned();
        self.load(&next, gestures)
    }

    fn load(&self, name: &str, gestures: &Gestures<'_>) -> Option<Notice> {
        let values = match (FACTORY.iter().find(|preset| preset.name == name), &self.presets) {
            (Some(preset), _) => preset.values(gestures.params),
            (None, Ok(presets)) => match presets.load(name, gestures.params) {
                Ok(values) => values,
                Err(error) => return Some(Notice { text: error.to_string(), alarm: true }),
            },
            (None, Err(error)) => return Some(Notice { text: error.to_string(), alarm: true }),
        };
        gestures.load(name, &values);
        None
    }
}

fn heading(ui: &mut Ui, text: &str) {
    let (rect, _) = ui.allocate_exact_size(vec2(WIDTH, 22.0), Sense::hover());
    let place = pos2(rect.left() + 10.0, rect.bottom() - 5.0);
    ui.painter().text(place, Align2::LEFT_BOTTOM, text, theme::strong(9.5), LABEL);
}

fn rule(ui: &mut Ui) {
    let (rect, _) = ui.allocate_exact_size(vec2(WIDTH, 9.0), Sense::hover());
    ui.painter().hline(rect.x_range(), rect.center().y, (1.0, LINE));
}

/// A line of the menu; `true` when chosen.
fn line(ui: &mut Ui, text: &str, on: bool, tooltip: &str) -> bool {
    let (rect, response) = ui.allocate_exact_size(vec2(WIDTH, LINE_HEIGHT), Sense::click());
    response.widget_info(|| button_info(on, text));
    let painter = ui.painter();
    if response.hovered() || response.has_focus() {
        painter.rect_filled(rect, 5.0, LINE);
    }
    let (font, color) =
        if on { (theme::strong(13.0), VOICE) } else { (theme::regular(13.0), TEXT) };
    let place = pos2(rect.left() + 10.0, rect.center().y);
    ui.painter_at(rect).text(place, Align2::LEFT_CENTER, text, font, color);
    let chosen = response.clicked();
    let response = response.on_hover_cursor(CursorIcon::PointingHand);
    if !tooltip.is_empty() {
        response.on_hover_text(tooltip);
    }
    chosen
}
