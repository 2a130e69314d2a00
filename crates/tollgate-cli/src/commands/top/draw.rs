//! The view on a screen. Drawing reads nothing but the view, so tests compare what it draws.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};

use super::key::{FOOT, HELP};
use super::summary::{self, ENDINGS};
use super::table::{left, width_of};
use super::view::{LISTED, View};

/// The smallest screen that everything fits on.
const WIDTH_MIN: u16 = 80;
const HEIGHT_MIN: u16 = 24;

/// How things look, with colours or without.
#[derive(Clone, Copy)]
pub(super) struct Palette {
    pub(super) colours: bool,
}

/// Draws everything, and takes the view's first row back to where a full page remains.
pub(super) fn draw(frame: &mut Frame<'_>, view: &mut View, palette: Palette) {
    let area = frame.area();
    if area.width < WIDTH_MIN || area.height < HEIGHT_MIN {
        return too_small(frame);
    }
    let (width, height) = (usize::from(area.width), usize::from(area.height));
    let mut lines = vec![palette.title(view, width)];
    lines.extend(palette.summary(view, width));
    lines.push(palette.tabs(view));
    // The last line is the foot.
    let rows = height - 1 - lines.len();
    if view.help {
        let help = HELP.iter().map(|line| Line::raw(format!(" {line}")));
        lines.extend(help.take(rows));
    } else {
        lines.extend(palette.table(view, width, rows));
    }
    lines.resize(height - 1, Line::default());
    lines.push(palette.foot(view, width));
    for (line, y) in lines.into_iter().zip(area.y..) {
        frame.render_widget(
            line,
            Rect {
                y,
                height: 1,
                ..area
            },
        );
    }
}

fn too_small(frame: &mut Frame<'_>) {
    let area = frame.area();
    let is = format!("It has {} x {}.", area.width, area.height);
    let says = [
        format!("tollgate top needs {WIDTH_MIN} x {HEIGHT_MIN}."),
        is,
        "q quits.".to_owned(),
    ];
    for (line, y) in says.into_iter().zip(area.y..area.bottom()) {
        frame.render_widget(
            Line::raw(line),
            Rect {
                y,
                height: 1,
                ..area
            },
        );
    }
}

impl Palette {
    fn coloured(self, colour: Color) -> Style {
        if self.colours {
            Style::new().fg(colour)
        } else {
            Style::new()
        }
    }

    fn alarm(self) -> Style {
        self.coloured(Color::Red)
            .add_modifier(Modifier::BOLD | Modifier::REVERSED)
    }

    fn title(self, view: &View, width: usize) -> Line<'static> {
        let bold = Style::new().add_modifier(Modifier::BOLD);
        let at = view.model().now.as_of;
        let title = format!(" Tollgate  {at}");
        if let Some(why) = view.away() {
            let left_over = width.saturating_sub(width_of(&title) + 2);
            let why = left(&format!(" AWAY, trying again: {why}"), left_over);
            return Line::from(vec![
                Span::styled(title, bold),
                Span::raw("  "),
                Span::styled(why, self.alarm()),
            ]);
        }
        let mut spans = vec![Span::styled(title, bold)];
        if view.is_paused() {
            spans.push(Span::raw("  "));
            spans.push(Span::styled(
                " PAUSED, p goes on ",
                Style::new().add_modifier(Modifier::REVERSED),
            ));
        }
        Line::from(spans)
    }

    fn summary(self, view: &View, width: usize) -> Vec<Line<'static>> {
        let model = view.model();
        let bold = Style::new().add_modifier(Modifier::BOLD);
        let mut lines = vec![Line::styled(summary::heading(), bold)];
        let colours = [
            Color::Green,
            Color::Yellow,
            Color::Magenta,
            Color::Cyan,
            Color::Red,
        ];
        for (ending, colour) in ENDINGS.iter().zip(colours) {
            let bars = ending.bars(model, width - summary::BEFORE_BARS - 1);
            lines.push(Line::from(vec![
                Span::raw(ending.numbers(model)),
                Span::styled(bars, self.coloured(colour)),
            ]));
        }
        for (name, text) in summary::states(model) {
            let alarmed = summary::is_degraded(name, model);
            let style = if alarmed { self.alarm() } else { Style::new() };
            lines.push(Line::from(vec![
                Span::raw(format!(" {name:<16}  ")),
                Span::styled(text, style),
            ]));
        }
        lines
    }

    fn tabs(self, view: &View) -> Line<'static> {
        let mut spans = Vec::new();
        for (number, listed) in LISTED.into_iter().enumerate() {
            let name = format!("{} {}", number + 1, listed.name());
            spans.push(if listed == view.listed {
                let shown = Style::new().add_modifier(Modifier::BOLD | Modifier::REVERSED);
                Span::styled(format!("[{name}]"), shown)
            } else {
                Span::raw(format!(" {name} "))
            });
        }
        spans.push(Span::raw(format!("  sorted by {}", view.sorted_by())));
        Line::from(spans)
    }

    /// The header, and as many rows as there is room for.
    fn table(self, view: &mut View, width: usize, height: usize) -> Vec<Line<'static>> {
        let table = view.table();
        let header = Style::new().add_modifier(Modifier::BOLD);
        let shown_width = width - 2;
        let mut lines = vec![Line::styled(
            format!(" {}", table.header(shown_width)),
            header,
        )];
        let notes = table
            .note
            .iter()
            .map(|note| Line::raw(format!(" ({note})")));
        let room = height.saturating_sub(1 + notes.len());
        view.page_rows = room.max(1);
        view.first_row = view.first_row.min(table.rows.len().saturating_sub(room));
        let rows = table.rows.iter().skip(view.first_row).take(room);
        lines.extend(rows.map(|row| Line::raw(format!(" {}", table.row(row, shown_width)))));
        lines.extend(notes);
        lines
    }

    fn foot(self, view: &View, width: usize) -> Line<'static> {
        let rows = view.table().rows.len();
        let last = rows.min(view.first_row + view.page_rows);
        let place = format!("{}-{last} of {rows} ", rows.min(view.first_row + 1));
        let foot = left(&format!(" {FOOT}"), width.saturating_sub(width_of(&place)));
        Line::styled(foot + &place, self.coloured(Color::DarkGray))
    }
}

#[cfg(test)]
mod tests;
