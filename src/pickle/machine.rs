//! The stack machine that pickles are programs for. Operations and their codes: the Python library's `pickletools`.

use super::{Id, Name, Node, ObjectNode, Pickle};
use crate::error::{Error, Result};
use std::collections::HashMap;
use std::io::{self, BufRead, Read};
use std::path::Path;

/// More than the largest pickle that is read here (CIFAR-100: 155 MB).
const MAX_BYTES: u64 = 256 << 20;
/// A checkpoint takes about 50 a tensor, a file of CIFAR-10 takes 50,000. An operation adds at most a value of 32 bytes
/// and an entry each on the stack and in the memo, so this bounds the memory too.
const MAX_OPERATIONS: u32 = 1 << 21;
/// Names, and numbers in digits.
const MAX_LINE: u64 = 1 << 16;
/// A name that is taken from strings is copied, and one string can be used any number of times.
const MAX_NAME: usize = 256;

/// Runs a pickle from its first operation to STOP.
pub fn run<R: BufRead>(reader: &mut R, path: &Path) -> Result<Pickle> {
    let mut machine =
        Machine { reader, position: 0, nodes: Vec::new(), stack: Vec::new(), marks: Vec::new(), memo: HashMap::new() };
    let wrong = |position: u64, fault: Fault| match fault {
        Fault::Content(what) => {
            Error::format(path, format!("is not a pickle that can be read: {what}, near byte {position}"))
        }
        Fault::Io(source) => Error::Io { path: path.to_path_buf(), action: "read", source },
    };
    for _ in 0..MAX_OPERATIONS {
        match machine.step() {
            Ok(None) => {}
            Ok(Some(root)) => return Ok(Pickle { nodes: machine.nodes, root }),
            Err(fault) => return Err(wrong(machine.position, fault)),
        }
    }
    let fault = format!("it takes more than {MAX_OPERATIONS} operations");
    Err(wrong(machine.position, Fault::Content(fault)))
}

struct Machine<'r, R> {
    reader: &'r mut R,
    /// Bytes read.
    position: u64,
    nodes: Vec<Node>,
    stack: Vec<Id>,
    /// Heights of the stack where MARK was called.
    marks: Vec<usize>,
    memo: HashMap<u64, Id>,
}

enum Fault {
    Content(String),
    Io(io::Error),
}

impl From<&str> for Fault {
    fn from(what: &str) -> Fault {
        Fault::Content(what.into())
    }
}

impl From<String> for Fault {
    fn from(what: String) -> Fault {
        Fault::Content(what)
    }
}

type Step<T = ()> = std::result::Result<T, Fault>;

impl<R: BufRead> Machine<'_, R> {
    /// One operation. STOP gives the result.
    fn step(&mut self) -> Step<Option<Id>> {
        let operation = self.unsigned(1)? as u8;
        match operation {
            b'.' => return self.pop().map(Some), // STOP
            0x80 => match self.unsigned(1)? {
                0..=5 => {} // PROTO
                protocol => return Err(format!("it is of protocol {protocol}, which is not known").into()),
            },
            0x95 => drop(self.unsigned(8)?), // FRAME: its content follows as if it were not framed

            // The stack.
            b'(' => self.marks.push(self.stack.len()), // MARK
            b'0' if self.marks.last() == Some(&self.stack.len()) => drop(self.marks.pop()), // POP of a mark
            b'0' => drop(self.pop()?),
            b'1' => drop(self.pop_to_mark()?), // POP_MARK
            b'2' => {
                let top = self.top()?; // DUP
                self.stack.push(top);
            }

            // The memo.
            b'p' => self.put_line()?, // PUT
            b'q' => self.put(1)?,     // BINPUT
            b'r' => self.put(4)?,     // LONG_BINPUT
            0x94 => {
                let (key, top) = (self.memo.len() as u64, self.top()?); // MEMOIZE
                self.memo.insert(key, top);
            }
            b'g' => self.get_line()?, // GET
            b'h' => self.get(1)?,     // BINGET
            b'j' => self.get(4)?,     // LONG_BINGET

            _ if self.scalar(operation)? || self.container(operation)? || self.call(operation)? => {}
            _ => return Err(format!("operation {operation:#04x} is not supported").into()),
        }
        Ok(None)
    }

    /// Operations that push a value without parts. False: another operation.
    fn scalar(&mut self, operation: u8) -> Step<bool> {
        let node = match operation {
            b'N' => Node::None,
            0x88 => Node::Bool(true),  // NEWTRUE
            0x89 => Node::Bool(false), // NEWFALSE
            b'I' => match self.line()?.as_str() {
                "00" => Node::Bool(false),
                "01" => Node::Bool(true),
                digits => Node::Int(parse(digits)?),
            },
            b'L' => Node::Int(parse(self.line()?.trim_end_matches('L'))?), // LONG
            b'J' => Node::Int((self.unsigned(4)? as u32 as i32).into()),   // BININT
            b'K' => Node::Int(self.unsigned(1)?.into()),                   // BININT1
            b'M' => Node::Int(self.unsigned(2)?.into()),                   // BININT2
            0x8a => self.long(1)?,                                         // LONG1
            0x8b => self.long(4)?,                                         // LONG4
            b'F' => Node::Float(parse(&self.line()?)?),                    // FLOAT
            b'G' => Node::Float(f64::from_bits(self.unsigned(8)?.swap_bytes())), // BINFLOAT
            b'U' | b'C' => Node::Bytes(self.counted(1)?),                  // SHORT_BINSTRING, SHORT_BINBYTES
            b'T' | b'B' => Node::Bytes(self.counted(4)?),                  // BINSTRING, BINBYTES
            0x8e | 0x96 => Node::Bytes(self.counted(8)?),                  // BINBYTES8, BYTEARRAY8
            b'X' => self.text(4)?,                                         // BINUNICODE
            0x8c => self.text(1)?,                                         // SHORT_BINUNICODE
            0x8d => self.text(8)?,                                         // BINUNICODE8
            _ => return Ok(false),
        };
        self.push(node);
        Ok(true)
    }

    /// Operations that make or fill a container. False: another operation.
    fn container(&mut self, operation: u8) -> Step<bool> {
        let node = match operation {
            b']' => Node::List(Vec::new()),
            b'}' => Node::Dict(Vec::new()),
            b')' => Node::Tuple(Box::new([])),
            0x8f => Node::Set(Vec::new()),
            b'l' => Node::List(self.pop_to_mark()?),
            b't' => Node::Tuple(self.pop_to_mark()?.into()),
            0x91 => Node::Set(self.pop_to_mark()?), // FROZENSET
            b'd' => Node::Dict(pairs(self.pop_to_mark()?)?),
            0x85..=0x87 => {
                let count = usize::from(operation - 0x84); // TUPLE1, TUPLE2, TUPLE3
                let mut ids = (0..count).map(|_| self.pop()).collect::<Step<Vec<Id>>>()?;
                ids.reverse();
                Node::Tuple(ids.into())
            }
            b'a' => {
                let item = self.pop()?; // APPEND
                self.append(vec![item])?;
                return Ok(true);
            }
            b'e' | 0x90 => {
                let items = self.pop_to_mark()?; // APPENDS, ADDITEMS
                self.append(items)?;
                return Ok(true);
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?); // SETITEM
                self.set(vec![(key, value)])?;
                return Ok(true);
            }
            b'u' => {
                let items = self.pop_to_mark()?; // SETITEMS
                self.set(pairs(items)?)?;
                return Ok(true);
            }
            _ => return Ok(false),
        };
        self.push(node);
        Ok(true)
    }

    /// Operations that name or would call something. False: another operation.
    fn call(&mut self, operation: u8) -> Step<bool> {
        match operation {
            b'c' => {
                let (module, name) = (self.line()?, self.line()?); // GLOBAL
                self.push(Node::Global(Box::new(Name { module, name })));
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?); // STACK_GLOBAL
                let (Node::Str(name), Node::Str(module)) = (&self.nodes[name as usize], &self.nodes[module as usize])
                else {
                    return Err("a global is named by something that is no string".into());
                };
                if name.len().max(module.len()) > MAX_NAME {
                    return Err(format!("a global's name has more than {MAX_NAME} bytes").into());
                }
                let global = Name { module: module.to_string(), name: name.to_string() };
                self.push(Node::Global(Box::new(global)));
            }
            b'P' => {
                let key = self.line()?; // PERSID
                let key = self.add(Node::Str(key.into()));
                self.push(Node::Persistent(key));
            }
            b'Q' => {
                let key = self.pop()?; // BINPERSID
                self.push(Node::Persistent(key));
            }
            b'R' | 0x81 => {
                let (args, callable) = (self.pop()?, self.pop()?); // REDUCE, NEWOBJ
                self.push_object(callable, args);
            }
            b'i' => {
                let (module, name) = (self.line()?, self.line()?); // INST
                let args = self.pop_to_mark()?;
                let callable = self.add(Node::Global(Box::new(Name { module, name })));
                let args = self.add(Node::Tuple(args.into()));
                self.push_object(callable, args);
            }
            b'o' => {
                let mut args = self.pop_to_mark()?; // OBJ
                if args.is_empty() {
                    return Err("an object has no class".into());
                }
                let callable = args.remove(0);
                let args = self.add(Node::Tuple(args.into()));
                self.push_object(callable, args);
            }
            b'b' => {
                let (state, target) = (self.pop()?, self.top()?); // BUILD
                match &mut self.nodes[target as usize] {
                    Node::Object(object) if object.state.is_none() => object.state = Some(state),
                    Node::Object(_) => return Err("an object is given a second state".into()),
                    _ => return Err("a state is given to a value that has none".into()),
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn add(&mut self, node: Node) -> Id {
        self.nodes.push(node);
        (self.nodes.len() - 1) as Id
    }

    fn push(&mut self, node: Node) {
        let id = self.add(node);
        self.stack.push(id);
    }

    fn push_object(&mut self, callable: Id, args: Id) {
        let object = ObjectNode { callable, args, state: None, items: Vec::new(), entries: Vec::new() };
        self.push(Node::Object(Box::new(object)));
    }

    /// The topmost value; never one below a mark.
    fn top(&self) -> Step<Id> {
        let floor = self.marks.last().copied().unwrap_or(0);
        self.stack.get(floor..).and_then(<[Id]>::last).copied().ok_or_else(|| "its stack is empty".into())
    }

    fn pop(&mut self) -> Step<Id> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    fn pop_to_mark(&mut self) -> Step<Vec<Id>> {
        let mark = self.marks.pop().ok_or("a mark is missing")?;
        Ok(self.stack.split_off(mark))
    }

    /// Appends to the list, set or object on the stack.
    fn append(&mut self, items: Vec<Id>) -> Step {
        let target = self.top()?;
        match &mut self.nodes[target as usize] {
            Node::List(list) | Node::Set(list) => list.extend(items),
            Node::Object(object) => object.items.extend(items),
            _ => return Err("items are appended to something that is no list".into()),
        }
        Ok(())
    }

    /// Sets entries of the dictionary or object on the stack.
    fn set(&mut self, entries: Vec<(Id, Id)>) -> Step {
        let target = self.top()?;
        match &mut self.nodes[target as usize] {
            Node::Dict(dict) => dict.extend(entries),
            Node::Object(object) => object.entries.extend(entries),
            _ => return Err("entries are set in something that is no dict".into()),
        }
        Ok(())
    }

    fn put(&mut self, width: usize) -> Step {
        let (key, top) = (self.unsigned(width)?, self.top()?);
        self.memo.insert(key, top);
        Ok(())
    }

    fn put_line(&mut self) -> Step {
        let (key, top) = (parse(&self.line()?)?, self.top()?);
        self.memo.insert(key, top);
        Ok(())
    }

    fn get(&mut self, width: usize) -> Step {
        let key = self.unsigned(width)?;
        self.recall(key)
    }

    fn get_line(&mut self) -> Step {
        let key = parse(&self.line()?)?;
        self.recall(key)
    }

    fn recall(&mut self, key: u64) -> Step {
        let id = *self.memo.get(&key).ok_or_else(|| format!("value {key} is used before it is stored"))?;
        self.stack.push(id);
        Ok(())
    }

    /// A little-endian integer of up to 8 bytes.
    fn unsigned(&mut self, width: usize) -> Step<u64> {
        let mut bytes = [0; 8];
        self.reader.read_exact(&mut bytes[..width]).map_err(|e| match e.kind() {
            io::ErrorKind::UnexpectedEof => "it is cut short".into(),
            _ => Fault::Io(e),
        })?;
        self.position += width as u64;
        Ok(u64::from_le_bytes(bytes))
    }

    /// A two's complement integer, little-endian, after its length.
    fn long(&mut self, width: usize) -> Step<Node> {
        let bytes = self.counted(width)?;
        if bytes.len() > 16 {
            return Err(format!("an integer has {} bytes, at most 16 are read", bytes.len()).into());
        }
        let negative = bytes.last().is_some_and(|&high| high >= 0x80);
        let mut value = [if negative { 0xff } else { 0 }; 16];
        value[..bytes.len()].copy_from_slice(&bytes);
        Ok(Node::Int(i128::from_le_bytes(value)))
    }

    fn text(&mut self, width: usize) -> Step<Node> {
        // Python can write half a surrogate pair, which is no character.
        Ok(Node::Str(String::from_utf8_lossy(&self.counted(width)?).into()))
    }

    /// As many bytes as an integer of `width` bytes says.
    fn counted(&mut self, width: usize) -> Step<Box<[u8]>> {
        let length = self.unsigned(width)?;
        if length > MAX_BYTES - self.position.min(MAX_BYTES) {
            return Err(format!("it claims a string of {length} bytes, at most {MAX_BYTES} are read").into());
        }
        let mut bytes = Vec::new(); // grows with what is there, not with what is claimed
        self.reader.take(length).read_to_end(&mut bytes).map_err(Fault::Io)?;
        self.position += bytes.len() as u64;
        if (bytes.len() as u64) < length {
            return Err("it is cut short".into());
        }
        Ok(bytes.into())
    }

    /// Text up to the end of the line.
    fn line(&mut self) -> Step<String> {
        let mut bytes = Vec::new();
        self.reader.take(MAX_LINE).read_until(b'\n', &mut bytes).map_err(Fault::Io)?;
        self.position += bytes.len() as u64;
        if bytes.pop() != Some(b'\n') {
            return Err("a line has no end".into());
        }
        String::from_utf8(bytes).map_err(|_| "a line is no text".into())
    }
}

fn pairs(items: Vec<Id>) -> Step<Vec<(Id, Id)>> {
    let (pairs, []) = items.as_chunks() else { return Err("a dict has a key without a value".into()) };
    Ok(pairs.iter().map(|&[key, value]| (key, value)).collect())
}

fn parse<T: std::str::FromStr>(digits: &str) -> Step<T> {
    digits.trim().parse().map_err(|_| "a number is no number".into())
}
