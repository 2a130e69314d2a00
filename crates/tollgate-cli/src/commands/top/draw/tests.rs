use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::Color;

use super::super::model::Update;
use super::super::plain::Plain;
use super::super::sample::{full, overview};
use super::super::view::Action;
use super::*;
use crate::commands::top::model::Model;

fn drawn(view: &mut View, width: u16, height: u16, colours: bool) -> TestBackend {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal
        .draw(|frame| draw(frame, view, Palette { colours }))
        .unwrap();
    terminal.backend().clone()
}

/// The lines as they stand there, without blanks at their ends.
fn lines(view: &mut View, width: u16, height: u16) -> Vec<String> {
    let backend = drawn(view, width, height, true);
    let shown = backend.to_string();
    let lines = shown
        .lines()
        .map(|line| line.trim_matches('"').trim_end().to_owned());
    lines.collect()
}

#[test]
fn print() {
    let mut view = View::new(full());
    for _ in 0..3 {
        println!("{}", lines(&mut view, 80, 24).join("\n"));
        view.act(Action::Next);
    }
    println!("{}", lines(&mut view, 120, 40).join("\n"));
    println!("{}", super::super::snapshot::page(&full()));
}
