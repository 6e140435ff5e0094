//! Python's pickles as data. A pickle is a program for a small stack machine; here its values are collected and
//! nothing is ever called: what would be a call stays an [`Object`], a callable's name with its arguments.
//!
//! Values live in one list and refer to each other by number. So a value that is used twice is stored once, one that
//! contains itself can be read, and no depth of nesting can exhaust the stack, neither here nor when all is dropped.

mod machine;
mod numpy;

use crate::error::{IoContext, Result};
use std::borrow::Cow;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

pub use numpy::Array;

/// The values of one pickle.
#[derive(Debug)]
pub struct Pickle {
    nodes: Vec<Node>,
    root: Id,
}

/// The number of a value in its pickle.
type Id = u32;

#[derive(Debug)]
enum Node {
    None,
    Bool(bool),
    Int(i128),
    Float(f64),
    /// Also the strings of Python 2.
    Bytes(Box<[u8]>),
    Str(Box<str>),
    List(Vec<Id>),
    Set(Vec<Id>),
    Tuple(Box<[Id]>),
    /// In the order of insertion; the last of equal keys counts.
    Dict(Vec<(Id, Id)>),
    Global(Box<Name>),
    Persistent(Id),
    Object(Box<ObjectNode>),
}

#[derive(Debug)]
struct Name {
    module: String,
    name: String,
}

#[derive(Debug)]
struct ObjectNode {
    callable: Id,
    args: Id,
    state: Option<Id>,
    items: Vec<Id>,
    entries: Vec<(Id, Id)>,
}

impl Pickle {
    /// Reads one pickle of protocol 0 to 5 and leaves the reader behind its end. `path` is for errors.
    ///
    /// Errors: not a pickle, cut short, an operation that is not data (buffers out of band, registered extensions),
    /// more than 256 MiB or 2 million operations. Memory stays within a small multiple of what was read, whatever
    /// lengths the pickle claims.
    pub fn read(reader: &mut impl BufRead, path: impl AsRef<Path>) -> Result<Pickle> {
        machine::run(reader, path.as_ref())
    }

    /// Reads the pickle that a file begins with; errors as those of [`Pickle::read`].
    pub fn open(path: impl AsRef<Path>) -> Result<Pickle> {
        let file = File::open(&path).at(&path, "open")?;
        Pickle::read(&mut BufReader::with_capacity(1 << 16, file), path)
    }

    /// Every value, also those that are no part of the result, in the order in which they were made.
    pub fn values(&self) -> impl Iterator<Item = Value<'_>> {
        (0..self.nodes.len() as Id).map(|id| Value { pickle: self, id })
    }

    /// The value that was pickled.
    pub fn root(&self) -> Value<'_> {
        Value { pickle: self, id: self.root }
    }
}

/// One value of a pickle. Every accessor is `None` for a value of another type.
#[derive(Clone, Copy)]
pub struct Value<'a> {
    pickle: &'a Pickle,
    id: Id,
}

/// What a call or an instance was pickled as.
#[derive(Clone, Copy)]
pub struct Object<'a> {
    /// The function or class, mostly a global name.
    pub callable: Value<'a>,
    /// Its arguments, mostly a tuple.
    pub args: Value<'a>,
    /// What would be given to `__setstate__`, or become the instance's attributes.
    pub state: Option<Value<'a>>,
}

impl<'a> Value<'a> {
    fn node(self) -> &'a Node {
        &self.pickle.nodes[self.id as usize]
    }

    fn other(self, id: Id) -> Value<'a> {
        Value { id, ..self }
    }

    pub fn is_none(self) -> bool {
        matches!(self.node(), Node::None)
    }

    pub fn bool(self) -> Option<bool> {
        if let Node::Bool(value) = self.node() { Some(*value) } else { None }
    }

    /// An integer that fits `T`.
    pub fn int<T: TryFrom<i128>>(self) -> Option<T> {
        if let Node::Int(value) = self.node() { T::try_from(*value).ok() } else { None }
    }

    pub fn float(self) -> Option<f64> {
        if let Node::Float(value) = self.node() { Some(*value) } else { None }
    }

    /// Bytes, a bytearray or a string of Python 2; also bytes in the form in which Python 3 writes them for Python 2,
    /// `_codecs.encode(text, "latin1")`.
    pub fn bytes(self) -> Option<Cow<'a, [u8]>> {
        if let Node::Bytes(bytes) = self.node() {
            return Some(Cow::Borrowed(bytes));
        }
        let Object { callable, args, .. } = self.object()?;
        let [text, codec] = args.tuple()?;
        let latin1 = callable.global() == Some(("_codecs", "encode")) && codec.text() == Some("latin1");
        let bytes = text.text()?.chars().map(|c| u8::try_from(c).ok());
        if latin1 { bytes.collect::<Option<Vec<u8>>>().map(Cow::Owned) } else { None }
    }

    /// A string; also one of Python 2, if it is UTF-8.
    pub fn text(self) -> Option<&'a str> {
        match self.node() {
            Node::Str(text) => Some(text),
            Node::Bytes(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    /// The values of a list, a tuple or a set, or those that were appended to an object.
    pub fn items(self) -> Option<impl ExactSizeIterator<Item = Value<'a>>> {
        let ids: &[Id] = match self.node() {
            Node::List(ids) | Node::Set(ids) => ids,
            Node::Tuple(ids) => ids,
            Node::Object(object) => &object.items,
            _ => return None,
        };
        Some(ids.iter().map(move |&id| self.other(id)))
    }

    /// The values of a tuple of N.
    pub fn tuple<const N: usize>(self) -> Option<[Value<'a>; N]> {
        let Node::Tuple(ids) = self.node() else { return None };
        Some(<[Id; N]>::try_from(&ids[..]).ok()?.map(|id| self.other(id)))
    }

    /// Keys and values of a dictionary, or those that were set in an object such as an OrderedDict; a key that was set
    /// again comes again.
    pub fn entries(self) -> Option<impl ExactSizeIterator<Item = (Value<'a>, Value<'a>)> + DoubleEndedIterator> {
        let pairs = match self.node() {
            Node::Dict(pairs) => pairs,
            Node::Object(object) => &object.entries,
            _ => return None,
        };
        Some(pairs.iter().map(move |&(key, value)| (self.other(key), self.other(value))))
    }

    /// What a dictionary, or an object such as an OrderedDict, has under a string.
    pub fn get(self, key: &str) -> Option<Value<'a>> {
        self.entries()?.rev().find(|(k, _)| k.text() == Some(key)).map(|(_, value)| value)
    }

    /// Module and name of a class or a function.
    pub fn global(self) -> Option<(&'a str, &'a str)> {
        if let Node::Global(global) = self.node() { Some((&global.module, &global.name)) } else { None }
    }

    /// The key of something that is stored outside of the pickle.
    pub fn persistent(self) -> Option<Value<'a>> {
        if let Node::Persistent(id) = self.node() { Some(self.other(*id)) } else { None }
    }

    pub fn object(self) -> Option<Object<'a>> {
        let Node::Object(object) = self.node() else { return None };
        let ObjectNode { callable, args, state, .. } = **object;
        Some(Object { callable: self.other(callable), args: self.other(args), state: state.map(|id| self.other(id)) })
    }

    /// The kind of value, in a few words for an error: `a tuple of 3`, `collections.OrderedDict(..)`.
    pub fn describe(self) -> String {
        match self.node() {
            Node::None => "None".into(),
            Node::Bool(value) => if *value { "True" } else { "False" }.into(),
            Node::Int(value) => value.to_string(),
            Node::Float(value) => value.to_string(),
            Node::Bytes(bytes) => format!("{} bytes", bytes.len()),
            Node::Str(text) if text.len() <= 80 => format!("{text:?}"),
            Node::Str(text) => format!("a string of {} bytes", text.len()),
            Node::List(ids) => format!("a list of {}", ids.len()),
            Node::Set(ids) => format!("a set of {}", ids.len()),
            Node::Tuple(ids) => format!("a tuple of {}", ids.len()),
            Node::Dict(pairs) => format!("a dict of {}", pairs.len()),
            Node::Global(global) => format!("{}.{}", global.module, global.name),
            Node::Persistent(_) => "a persistent reference".into(),
            Node::Object(object) => match self.other(object.callable).global() {
                Some((module, name)) => format!("{module}.{name}(..)"),
                None => "a call of something that is no name".into(),
            },
        }
    }
}

impl std::fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.describe())
    }
}
