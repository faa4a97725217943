//! What keys do.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::frame::Frame;

/// Rows of a page.
const PAGE: isize = 10;

/// What follows a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// It goes on.
    GoOn,
    /// It ends.
    End,
}

/// Does what a key says.
pub(super) fn press(frame: &mut Frame, key: KeyEvent) -> Next {
    if key.kind == KeyEventKind::Release {
        return Next::GoOn;
    }
    let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
    if is_control && key.code == KeyCode::Char('c') {
        return Next::End;
    }
    if frame.is_typing {
        type_filter(frame, key.code);
        return Next::GoOn;
    }
    let code = key.code;
    if matches!(code, KeyCode::Char('q')) {
        return Next::End;
    }
    if code == KeyCode::Char('s') {
        frame.sort_next();
    } else if code == KeyCode::Char('r') {
        frame.turn();
    } else if code == KeyCode::Char('/') {
        frame.is_typing = true;
    } else if code == KeyCode::Esc {
        frame.filter.clear();
    } else if [KeyCode::Down, KeyCode::Char('j')].contains(&code) {
        frame.scroll(1);
    } else if [KeyCode::Up, KeyCode::Char('k')].contains(&code) {
        frame.scroll(-1);
    } else if code == KeyCode::PageDown {
        frame.scroll(PAGE);
    } else if code == KeyCode::PageUp {
        frame.scroll(-PAGE);
    } else if [KeyCode::Home, KeyCode::Char('g')].contains(&code) {
        frame.above = 0;
    } else if [KeyCode::End, KeyCode::Char('G')].contains(&code) {
        frame.scroll(isize::MAX);
    }
    Next::GoOn
}

fn type_filter(frame: &mut Frame, code: KeyCode) {
    if code == KeyCode::Enter {
        frame.is_typing = false;
    } else if code == KeyCode::Esc {
        frame.is_typing = false;
        frame.filter.clear();
    } else if code == KeyCode::Backspace {
        frame.filter.pop();
    } else if let KeyCode::Char(letter) = code {
        frame.filter.push(letter);
        frame.above = 0;
    }
}
