//! From YAML to values with their places. Anchors are followed; tags mean nothing here.

use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;

use saphyr_parser::{Event, Parser, Span};

use crate::read::Source;

/// The most lists and maps within one another, whatever aliases stand for.
const DEPTH_MAX: usize = 64;
/// The most values that aliases stand for, all in all: few lines could stand for more than fits into memory.
const ALIASED_MAX: usize = 1_000_000;

const TOO_DEEP: &str = "lists and maps are nested too deeply";

/// A value and where it stands.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) kind: Kind,
    pub(super) span: Range<usize>,
}

#[derive(Debug)]
pub(super) enum Kind {
    /// A word, a number, a text.
    Scalar {
        text: String,
        /// Whether it stands without quotes, so that it may be a number, `true` or nothing.
        is_plain: bool,
    },
    List(Vec<Rc<Node>>),
    Map(Vec<(Rc<Node>, Rc<Node>)>),
}

impl Node {
    /// What it is, for people.
    pub(super) fn is_a(&self) -> &'static str {
        match &self.kind {
            Kind::Scalar { .. } if self.is_nothing() => "nothing",
            Kind::Scalar { .. } => "a single value",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a map",
        }
    }

    /// Whether nothing is written where a value is expected.
    pub(super) fn is_nothing(&self) -> bool {
        match &self.kind {
            Kind::Scalar { text, is_plain } => {
                *is_plain && matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL")
            }
            _ => false,
        }
    }
}

/// A list or a map that has not ended.
struct Open {
    anchor: usize,
    start: usize,
    kind: OpenKind,
    size: Size,
}

/// What a value consists of, aliases followed.
#[derive(Clone, Copy, Default)]
struct Size {
    /// Lists and maps within one another; 0 for a single value.
    depth: usize,
    /// Values: itself, and those within.
    values: usize,
}

enum OpenKind {
    List(Vec<Rc<Node>>),
    Map(Vec<(Rc<Node>, Rc<Node>)>, Option<Rc<Node>>),
}

/// The one document of a file; `None` after a complaint.
pub(super) fn parse(source: &Source<'_>, text: &str) -> Option<Rc<Node>> {
    let places = Places::of(text);
    let mut reader = Reader::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = match event {
            Ok(event) => event,
            Err(error) => {
                let at = places.byte(error.marker().index());
                source.complain(at..at, format!("this is no YAML: {}", error.info()));
                return None;
            }
        };
        let span = places.bytes(span);
        if let Err(message) = reader.take(event, span.clone()) {
            source.complain(span, message);
            return None;
        }
    }
    if reader.document.is_none() {
        source.complain(0..0, "the file is empty");
    }
    reader.document
}

#[derive(Default)]
struct Reader {
    open: Vec<Open>,
    anchors: HashMap<usize, (Rc<Node>, Size)>,
    aliased: usize,
    document: Option<Rc<Node>>,
}

impl Reader {
    fn take(&mut self, event: Event<'_>, span: Range<usize>) -> Result<(), &'static str> {
        match event {
            Event::Scalar(text, style, anchor, _) => {
                let kind = Kind::Scalar {
                    is_plain: style == saphyr_parser::ScalarStyle::Plain,
                    text: text.into_owned(),
                };
                let single = Size {
                    depth: 0,
                    values: 1,
                };
                self.put(anchor, Rc::new(Node { kind, span }), single);
                Ok(())
            }
            Event::SequenceStart(anchor, _) => {
                self.begin(anchor, span.start, OpenKind::List(Vec::new()))
            }
            Event::MappingStart(anchor, _) => {
                self.begin(anchor, span.start, OpenKind::Map(Vec::new(), None))
            }
            Event::SequenceEnd | Event::MappingEnd => {
                self.end(span.end);
                Ok(())
            }
            Event::Alias(anchor) => self.alias(anchor),
            Event::DocumentStart(_) if self.document.is_some() => {
                Err("a file has one domain: a second document begins here")
            }
            Event::DocumentStart(_)
            | Event::DocumentEnd
            | Event::StreamStart
            | Event::StreamEnd
            | Event::Nothing => Ok(()),
        }
    }

    fn begin(&mut self, anchor: usize, start: usize, kind: OpenKind) -> Result<(), &'static str> {
        if self.open.len() == DEPTH_MAX {
            return Err(TOO_DEEP);
        }
        self.open.push(Open {
            anchor,
            start,
            kind,
            size: Size::default(),
        });
        Ok(())
    }

    fn alias(&mut self, anchor: usize) -> Result<(), &'static str> {
        let Some((node, size)) = self.anchors.get(&anchor).cloned() else {
            return Err("this alias stands within what it stands for");
        };
        self.aliased += size.values;
        if self.open.len() + size.depth > DEPTH_MAX {
            return Err(TOO_DEEP);
        }
        if self.aliased > ALIASED_MAX {
            return Err("the aliases of this file stand for too much");
        }
        self.put(0, node, size);
        Ok(())
    }

    fn end(&mut self, end: usize) {
        let Some(open) = self.open.pop() else {
            return;
        };
        let kind = match open.kind {
            OpenKind::List(items) => Kind::List(items),
            OpenKind::Map(pairs, _) => Kind::Map(pairs),
        };
        let span = open.start..end.max(open.start);
        let size = Size {
            depth: open.size.depth + 1,
            values: open.size.values + 1,
        };
        self.put(open.anchor, Rc::new(Node { kind, span }), size);
    }

    fn put(&mut self, anchor: usize, node: Rc<Node>, size: Size) {
        if anchor > 0 {
            self.anchors.insert(anchor, (Rc::clone(&node), size));
        }
        if let Some(open) = self.open.last_mut() {
            open.size.depth = open.size.depth.max(size.depth);
            open.size.values += size.values;
        }
        match self.open.last_mut().map(|open| &mut open.kind) {
            None => self.document = Some(node),
            Some(OpenKind::List(items)) => items.push(node),
            Some(OpenKind::Map(pairs, key)) => match key.take() {
                Some(key) => pairs.push((key, node)),
                None => *key = Some(node),
            },
        }
    }
}

/// Where characters stand, in bytes: the parser counts characters.
struct Places {
    /// The place of each character, and the end; empty where each has one byte.
    bytes: Vec<usize>,
    end: usize,
}

impl Places {
    fn of(text: &str) -> Self {
        let bytes = match text.is_ascii() {
            true => Vec::new(),
            false => text.char_indices().map(|(place, _)| place).collect(),
        };
        Places {
            bytes,
            end: text.len(),
        }
    }

    fn byte(&self, character: usize) -> usize {
        match self.bytes.is_empty() {
            true => character.min(self.end),
            false => self.bytes.get(character).copied().unwrap_or(self.end),
        }
    }

    fn bytes(&self, span: Span) -> Range<usize> {
        self.byte(span.start.index())..self.byte(span.end.index())
    }
}
