//! The machine: opcodes to values. Every step pays for what it makes, and no step calls anything.

use std::collections::{BTreeMap, HashMap};

use super::foreign::{Foreign, refuse_code};
use super::value::{Global, Id, Pickle, Storage, Value};
use super::{PICKLE_VALUES, STACK, STEPS};
use crate::Error;
use crate::element::Element;
use crate::not_weights::old_pickle;

/// Loads the pickle at the start of `bytes`; what follows it is left alone.
///
/// # Errors
/// [`Error::Code`] for a name that was made to be run; [`Error::Pickle`] for a damaged one; [`Error::TooLarge`].
pub(crate) fn load(bytes: &[u8]) -> Result<Pickle<'_>, Error> {
    let mut machine = Machine {
        bytes,
        at: 0,
        opcode_at: 0,
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
        values: Vec::new(),
        storages: BTreeMap::new(),
        foreign: Foreign::default(),
        copied: 0,
    };
    for _ in 0..STEPS {
        if let Some(root) = machine.step()? {
            let Machine { values, storages, foreign, at: length, .. } = machine;
            return Ok(Pickle { values, root, storages, foreign, length });
        }
    }
    Err(Error::TooLarge { what: "steps of a pickle".into(), limit: STEPS as u64, found: STEPS as u64 + 1 })
}

/// Attributes of an object among which a module's are looked for.
const FEW: usize = 64;

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    opcode_at: usize,
    stack: Vec<Id>,
    /// Heights of the stack at the open marks.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
    values: Vec<Value<'a>>,
    storages: BTreeMap<&'a str, (Element, u64)>,
    foreign: Foreign,
    /// Items that calls copied into dictionaries.
    copied: usize,
}

impl<'a> Machine<'a> {
    /// Takes one step; the root when the pickle ends.
    fn step(&mut self) -> Result<Option<Id>, Error> {
        self.opcode_at = self.at;
        let opcode = self.take(1)?[0];
        match opcode {
            b'.' => return self.pop().map(Some),
            0x80 => self.protocol()?,
            // A frame only says how much to read ahead.
            0x95 => self.frame()?,

            b'N' => self.push(Value::None)?,
            0x88 => self.push(Value::Bool(true))?,
            0x89 => self.push(Value::Bool(false))?,
            b'K' => self.int(1)?,
            b'M' => self.int(2)?,
            b'J' => {
                let number = i32::from_le_bytes(self.chunk()?);
                self.push(Value::Int(number.into()))?;
            }
            b'G' => {
                let number = f64::from_be_bytes(self.chunk()?);
                self.push(Value::Float(number))?;
            }
            0x8a => self.long(1)?,
            0x8b => self.long(4)?,
            b'I' | b'L' | b'F' => self.text_number(opcode)?,

            b'X' => self.text(4)?,
            0x8c => self.text(1)?,
            0x8d => self.text(8)?,
            b'U' => self.old_text(1)?,
            b'T' => self.old_text(4)?,
            b'S' | b'V' => self.text_line(opcode)?,
            b'C' => self.blob(1)?,
            b'B' => self.blob(4)?,
            0x8e | 0x96 => self.blob(8)?,

            b'(' => {
                self.room()?;
                self.marks.push(self.stack.len());
            }
            b'0' => self.pop_or_mark()?,
            b'1' => drop(self.pop_to_mark()?),
            b'2' => {
                let top = self.top()?;
                self.push_id(top)?;
            }

            b'q' => self.memorise(1)?,
            b'r' => self.memorise(4)?,
            0x94 => {
                let index = self.memo.len() as u32;
                self.remember(index)?;
            }
            b'p' => {
                let index = self.index_line()?;
                self.remember(index)?;
            }
            b'h' => self.recall(1)?,
            b'j' => self.recall(4)?,
            b'g' => {
                let index = self.index_line()?;
                self.recall_index(index)?;
            }

            b']' => self.push(Value::List(Vec::new()))?,
            b')' => self.push(Value::Tuple([].into()))?,
            b'}' => self.push(Value::Dict(Vec::new()))?,
            0x8f => self.push(Value::Opaque)?,
            b'l' => {
                let items = self.pop_to_mark()?;
                self.push(Value::List(items))?;
            }
            b't' => {
                let items = self.pop_to_mark()?;
                self.push(Value::Tuple(items.into()))?;
            }
            b'd' => {
                let items = self.pop_to_mark()?;
                let pairs = self.pairs(&items)?;
                self.push(Value::Dict(pairs))?;
            }
            0x85..=0x87 => {
                let count = usize::from(opcode - 0x84);
                let items = (0..count).map(|_| self.pop()).collect::<Result<Vec<_>, _>>()?;
                self.push(Value::Tuple(items.into_iter().rev().collect()))?;
            }
            b'a' => {
                let item = self.pop()?;
                self.append(vec![item])?;
            }
            b'e' | 0x90 => {
                let items = self.pop_to_mark()?;
                self.append(items)?;
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.set_items(vec![(key, value)])?;
            }
            b'u' => {
                let items = self.pop_to_mark()?;
                let pairs = self.pairs(&items)?;
                self.set_items(pairs)?;
            }
            0x91 => {
                self.pop_to_mark()?;
                self.push(Value::Opaque)?;
            }

            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.push_global(module, name)?;
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                match (&self.values[module.0 as usize], &self.values[name.0 as usize]) {
                    (&Value::Text(module), &Value::Text(name)) => self.push_global(module, name)?,
                    _ => return Err(self.damaged("expected two texts as a global's name")),
                }
            }
            b'i' => {
                let (module, name) = (self.line()?, self.line()?);
                let global = Global::of(module, name, &mut self.foreign)?;
                let items = self.pop_to_mark()?;
                let arguments = self.make(Value::Tuple(items.into()))?;
                self.call(global, arguments)?;
            }
            b'o' => {
                let items = self.pop_to_mark()?;
                let Some((&class, arguments)) = items.split_first() else {
                    return Err(self.damaged("expected a class to make an object of, found nothing"));
                };
                let arguments = self.make(Value::Tuple(arguments.into()))?;
                self.call_value(class, arguments)?;
            }
            b'R' | 0x81 => {
                let (arguments, function) = (self.pop()?, self.pop()?);
                self.call_value(function, arguments)?;
            }
            0x92 => {
                let (_, arguments, class) = (self.pop()?, self.pop()?, self.pop()?);
                self.call_value(class, arguments)?;
            }
            b'b' => self.build()?,

            b'Q' => {
                let id = self.pop()?;
                match self.module(id) {
                    Some(class) => self.push_id(class)?,
                    None => {
                        let storage = self.storage(id)?;
                        self.push(Value::Storage(Box::new(storage)))?;
                    }
                }
            }
            b'P' if self.bytes[self.at..].starts_with(b"('storage'") => return Err(old_pickle()),
            b'P' => return Err(self.damaged("expected a storage as a persistent object, found a text")),
            0x82..=0x84 => {
                let code = self.length([1, 2, 4][usize::from(opcode - 0x82)])?;
                return Err(Error::Code { name: format!("extension code {code}") });
            }
            _ => return Err(self.damaged(format!("expected an opcode, found {opcode:#04x}"))),
        }
        Ok(None)
    }

    fn damaged(&self, reason: impl Into<String>) -> Error {
        Error::Pickle { at: self.opcode_at, reason: reason.into() }
    }

    // Bytes.

    fn take(&mut self, count: usize) -> Result<&'a [u8], Error> {
        let taken = self.at.checked_add(count).and_then(|end| self.bytes.get(self.at..end));
        let Some(taken) = taken else {
            let left = self.bytes.len() - self.at;
            return Err(self.damaged(format!("expected {count} more bytes, found {left}")));
        };
        self.at += count;
        Ok(taken)
    }

    fn chunk<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        Ok(*self.take(N)?.first_chunk().expect("as many bytes as were asked for"))
    }

    /// A little-endian number of `width` bytes.
    fn length(&mut self, width: usize) -> Result<u64, Error> {
        Ok(self.take(width)?.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
    }

    /// As many bytes as the number before them says.
    fn counted(&mut self, width: usize) -> Result<&'a [u8], Error> {
        let length = self.length(width)?;
        self.take(usize::try_from(length).unwrap_or(usize::MAX))
    }

    fn line(&mut self) -> Result<&'a str, Error> {
        let rest = &self.bytes[self.at..];
        let end = rest.iter().position(|&byte| byte == b'\n');
        let line = end.and_then(|end| std::str::from_utf8(&rest[..end]).ok());
        let line = line.ok_or_else(|| self.damaged("expected a line of text"))?;
        self.at += line.len() + 1;
        Ok(line.strip_suffix('\r').unwrap_or(line))
    }

    fn index_line(&mut self) -> Result<u32, Error> {
        let line = self.line()?;
        line.parse().map_err(|_| self.damaged(format!("expected a number in the memo, found `{}`", shortened(line))))
    }

    fn protocol(&mut self) -> Result<(), Error> {
        match self.take(1)?[0] {
            0..=5 => Ok(()),
            other => Err(self.damaged(format!("expected a protocol up to 5, found {other}"))),
        }
    }

    fn frame(&mut self) -> Result<(), Error> {
        let (length, left) = (self.length(8)?, (self.bytes.len() - self.at) as u64);
        if length > left {
            return Err(self.damaged(format!("expected a frame of {length} bytes, found {left}")));
        }
        Ok(())
    }

    // Plain values.

    fn int(&mut self, width: usize) -> Result<(), Error> {
        let number = self.length(width)?;
        self.push(Value::Int(number as i64))
    }

    fn long(&mut self, width: usize) -> Result<(), Error> {
        let bytes = self.counted(width)?;
        if bytes.len() > 8 {
            return self.push(Value::Long(bytes));
        }
        let negative = bytes.last().is_some_and(|&byte| byte >= 0x80);
        let start = if negative { -1 } else { 0 };
        self.push(Value::Int(bytes.iter().rev().fold(start, |number, &byte| number << 8 | i64::from(byte))))
    }

    /// Numbers of the textual protocols.
    fn text_number(&mut self, opcode: u8) -> Result<(), Error> {
        let line = self.line()?;
        let digits = line.strip_suffix('L').unwrap_or(line);
        let value = match (opcode, line) {
            (b'I', "00") => Some(Value::Bool(false)),
            (b'I', "01") => Some(Value::Bool(true)),
            (b'F', _) => line.parse().ok().map(Value::Float),
            _ => digits.parse().ok().map(Value::Int),
        };
        let value = value.ok_or_else(|| self.damaged(format!("expected a number, found `{}`", shortened(line))))?;
        self.push(value)
    }

    fn text(&mut self, width: usize) -> Result<(), Error> {
        let bytes = self.counted(width)?;
        // Half of a pair of UTF-16, as Python has it for a byte of a file's name that is no UTF-8, names no tensor.
        self.push(std::str::from_utf8(bytes).map_or(Value::Opaque, Value::Text))
    }

    /// Python 2's `str`: text or any bytes.
    fn old_text(&mut self, width: usize) -> Result<(), Error> {
        let bytes = self.counted(width)?;
        self.push(std::str::from_utf8(bytes).map_or(Value::Opaque, Value::Text))
    }

    /// Text of the textual protocols. One with escapes names no tensor.
    fn text_line(&mut self, opcode: u8) -> Result<(), Error> {
        let line = self.line()?;
        let text = match (opcode, line.as_bytes()) {
            (b'V', _) => line,
            (_, [first @ (b'\'' | b'"'), .., last]) if first == last => &line[1..line.len() - 1],
            _ => return Err(self.damaged("expected a text in quotes")),
        };
        self.push(if text.contains('\\') { Value::Opaque } else { Value::Text(text) })
    }

    fn blob(&mut self, width: usize) -> Result<(), Error> {
        self.counted(width)?;
        self.push(Value::Opaque)
    }

    // The stack and the memo.

    fn room(&self) -> Result<(), Error> {
        let found = (self.stack.len() + self.marks.len()) as u64;
        if found >= STACK as u64 {
            return Err(Error::TooLarge {
                what: "values on a pickle's stack".into(),
                limit: STACK as u64,
                found: found + 1,
            });
        }
        Ok(())
    }

    fn push_id(&mut self, id: Id) -> Result<(), Error> {
        self.room()?;
        self.stack.push(id);
        Ok(())
    }

    fn push(&mut self, value: Value<'a>) -> Result<(), Error> {
        let id = self.make(value)?;
        self.push_id(id)
    }

    fn make(&mut self, value: Value<'a>) -> Result<Id, Error> {
        let limit = PICKLE_VALUES as u64;
        if self.values.len() >= PICKLE_VALUES {
            return Err(Error::TooLarge { what: "values of a pickle".into(), limit, found: limit + 1 });
        }
        let id = Id(self.values.len() as u32);
        self.values.push(value);
        Ok(id)
    }

    /// The height below which nothing may be popped: a mark stands there.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn top(&self) -> Result<Id, Error> {
        let top = self.stack.last().filter(|_| self.stack.len() > self.floor());
        top.copied().ok_or_else(|| self.damaged("expected a value on the stack, found none"))
    }

    fn pop(&mut self) -> Result<Id, Error> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    fn pop_or_mark(&mut self) -> Result<(), Error> {
        if self.marks.last() == Some(&self.stack.len()) {
            self.marks.pop();
            return Ok(());
        }
        self.pop().map(drop)
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Id>, Error> {
        let mark = self.marks.pop().ok_or_else(|| self.damaged("expected a mark on the stack, found none"))?;
        Ok(self.stack.split_off(mark))
    }

    fn memorise(&mut self, width: usize) -> Result<(), Error> {
        let index = self.length(width)?;
        self.remember(index as u32)
    }

    fn remember(&mut self, index: u32) -> Result<(), Error> {
        let top = self.top()?;
        if self.memo.len() >= PICKLE_VALUES {
            let limit = PICKLE_VALUES as u64;
            return Err(Error::TooLarge { what: "values in a pickle's memo".into(), limit, found: limit + 1 });
        }
        self.memo.insert(index, top);
        Ok(())
    }

    fn recall(&mut self, width: usize) -> Result<(), Error> {
        let index = self.length(width)?;
        self.recall_index(index as u32)
    }

    fn recall_index(&mut self, index: u32) -> Result<(), Error> {
        let id = self.memo.get(&index).copied();
        let id = id.ok_or_else(|| self.damaged(format!("expected value {index} in the memo, found none")))?;
        self.push_id(id)
    }

    // Containers.

    fn pairs(&self, items: &[Id]) -> Result<Vec<(Id, Id)>, Error> {
        let (pairs, rest) = items.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(self.damaged("expected a value for every key"));
        }
        Ok(pairs.iter().map(|&[key, value]| (key, value)).collect())
    }

    fn append(&mut self, new: Vec<Id>) -> Result<(), Error> {
        let target = self.top()?;
        match &mut self.values[target.0 as usize] {
            Value::List(items) => items.extend(new),
            Value::Opaque | Value::Object(_) => {}
            _ => return Err(self.damaged("expected a list to append to")),
        }
        Ok(())
    }

    fn set_items(&mut self, new: Vec<(Id, Id)>) -> Result<(), Error> {
        let target = self.top()?;
        match &mut self.values[target.0 as usize] {
            Value::Dict(items) => items.extend(new),
            Value::Object(_) => self.foreign.put(target, new),
            Value::Opaque => {}
            _ => return Err(self.damaged("expected a dictionary to put items into")),
        }
        Ok(())
    }

    fn tuple(&self, id: Id) -> Result<&[Id], Error> {
        match &self.values[id.0 as usize] {
            Value::Tuple(items) => Ok(items),
            _ => Err(self.damaged("expected a tuple of arguments")),
        }
    }

    // Names.

    fn push_global(&mut self, module: &str, name: &str) -> Result<(), Error> {
        let global = Global::of(module, name, &mut self.foreign)?;
        self.push(Value::Global(global))
    }

    /// Calls a class or function; what a foreign object gives, or what was looked up in one, is as foreign.
    fn call_value(&mut self, function: Id, arguments: Id) -> Result<(), Error> {
        match self.values[function.0 as usize] {
            Value::Global(global) => self.call(global, arguments),
            Value::Object(_) | Value::Opaque => self.push(Value::Opaque),
            _ => Err(self.damaged("expected a class or function to call, found a plain value")),
        }
    }

    /// What a known class or function makes of the tuple of its arguments, which is shared and never copied.
    fn call(&mut self, global: Global, arguments: Id) -> Result<(), Error> {
        let items = self.tuple(arguments)?;
        let first = items.first().map(|&id| (id, &self.values[id.0 as usize]));
        match global {
            Global::Opaque => self.push(Value::Opaque),
            Global::Foreign(class) => {
                self.foreign.make(class);
                self.push(Value::Object(class))
            }
            Global::Attribute => self.attribute(arguments),
            Global::Reconstructor => match first {
                Some((_, &Value::Global(Global::Foreign(class)))) => self.call(Global::Foreign(class), arguments),
                _ => self.push(Value::Opaque),
            },
            Global::Dict => self.dictionary(arguments),
            Global::Size => match first {
                Some((sizes, Value::Tuple(_))) => self.push_id(sizes),
                _ => self.push(Value::Opaque),
            },
            Global::Tensor => match first {
                Some((_, Value::Storage(_))) if items.len() >= 4 => self.push(Value::Tensor(arguments)),
                // One whose storage was made by a call.
                Some((_, Value::Object(_) | Value::Opaque)) => self.push(Value::Opaque),
                _ => Err(self.damaged("expected a storage, an offset, a shape and strides to rebuild a tensor")),
            },
            Global::Parameter => match first {
                // A parameter of another kind of tensor is of that kind.
                Some((tensor, Value::Tensor(_) | Value::Object(_) | Value::Opaque)) => self.push_id(tensor),
                _ => Err(self.damaged("expected a tensor to rebuild a parameter")),
            },
            Global::FromType => match *items {
                [function, _, inner, _] => match self.values[function.0 as usize] {
                    // No other: what lies in each other would be called as deep.
                    Value::Global(global @ (Global::Tensor | Global::Parameter)) => self.call(global, inner),
                    _ => self.push(Value::Opaque),
                },
                _ => Err(self.damaged("expected a function, a type, arguments and a state to rebuild a tensor")),
            },
            // A storage that is made by a call lies in the pickle, as bytes.
            Global::Storage(_) => self.push(Value::Opaque),
        }
    }

    /// `OrderedDict()`, `OrderedDict([(key, value), ..])`, `defaultdict(factory)`, `Counter({..})`.
    fn dictionary(&mut self, arguments: Id) -> Result<(), Error> {
        let mut items = Vec::new();
        for argument in self.tuple(arguments)? {
            let size = match &self.values[argument.0 as usize] {
                Value::Dict(pairs) => pairs.len(),
                Value::List(pairs) => pairs.len(),
                // What a `defaultdict` makes where there is nothing.
                _ => continue,
            };
            if self.copied + items.len() + size > PICKLE_VALUES {
                let (limit, found) = (PICKLE_VALUES as u64, (self.copied + items.len() + size) as u64);
                return Err(Error::TooLarge { what: "copied items of a pickle".into(), limit, found });
            }
            match &self.values[argument.0 as usize] {
                Value::Dict(pairs) => items.extend_from_slice(pairs),
                Value::List(pairs) => {
                    for pair in pairs {
                        match &self.values[pair.0 as usize] {
                            Value::Tuple(pair) if pair.len() == 2 => items.push((pair[0], pair[1])),
                            Value::List(pair) if pair.len() == 2 => items.push((pair[0], pair[1])),
                            _ => return Err(self.damaged("expected pairs of key and value")),
                        }
                    }
                }
                _ => {}
            }
        }
        self.copied += items.len();
        self.push(Value::Dict(items))
    }

    /// `getattr(CLASS, "NAME")`: the name, with what it is looked up in before it. Nothing is looked up: what a known class or a
    /// plain value has by that name is of no use for weights.
    fn attribute(&mut self, arguments: Id) -> Result<(), Error> {
        let (of, name) = match *self.tuple(arguments)? {
            [of, name, ..] => (&self.values[of.0 as usize], &self.values[name.0 as usize]),
            _ => return Err(self.damaged("expected an object and a name")),
        };
        let &Value::Text(name) = name else { return self.push(Value::Opaque) };
        match *of {
            Value::Global(Global::Foreign(class)) | Value::Object(class) => {
                let of = self.foreign.name(class).to_owned();
                let global = Global::of(&of, name, &mut self.foreign)?;
                self.push(Value::Global(global))
            }
            Value::Text(text) => {
                refuse_code(text, name)?;
                self.push(Value::Opaque)
            }
            Value::Global(_) | Value::Opaque | Value::List(_) | Value::Dict(_) | Value::Tuple(_) | Value::Tensor(_) => {
                refuse_code("", name)?;
                self.push(Value::Opaque)
            }
            _ => Err(Error::Code { name: format!("builtins.getattr of {}", shortened(name)) }),
        }
    }

    /// The state of an object: attributes, which no tensor has.
    fn build(&mut self) -> Result<(), Error> {
        let state = self.pop()?;
        let target = self.top()?;
        match self.values[target.0 as usize] {
            Value::Object(class) => {
                if self.is_module_state(state) {
                    self.foreign.is_module(class);
                }
                Ok(())
            }
            Value::Dict(_) | Value::Opaque | Value::Tensor(_) | Value::List(_) | Value::Tuple(_) | Value::Global(_) => {
                Ok(())
            }
            _ => Err(self.damaged("expected an object to give a state to")),
        }
    }

    /// Whether a state is that of a `torch.nn.Module` with modules inside: a network, and not a loss.
    fn is_module_state(&self, state: Id) -> bool {
        let value = |id: Id| &self.values[id.0 as usize];
        let Value::Dict(attributes) = value(state) else { return false };
        let mut attributes = attributes.iter().take(FEW).filter(|(name, _)| *value(*name) == Value::Text("_modules"));
        attributes
            .next_back()
            .is_some_and(|(_, inner)| matches!(value(*inner), Value::Dict(inner) if !inner.is_empty()))
    }

    /// The class of `("module", class, file, source)`, as old files keep the source of a network's class.
    fn module(&self, id: Id) -> Option<Id> {
        let Value::Tuple(items) = &self.values[id.0 as usize] else { return None };
        let &[kind, class, ..] = &**items else { return None };
        let is_class = matches!(self.values[class.0 as usize], Value::Global(_));
        (self.values[kind.0 as usize] == Value::Text("module") && is_class).then_some(class)
    }

    /// `("storage", class, key, location, length)`, and for old files the part of it that is meant.
    fn storage(&mut self, id: Id) -> Result<Storage<'a>, Error> {
        let value = |id: &Id| &self.values[id.0 as usize];
        let Value::Tuple(items) = value(&id) else {
            return Err(self.damaged("expected a tuple as a persistent object"));
        };
        let fields: Vec<&Value<'a>> = items.iter().map(value).collect();
        let size = |value: &Value<'_>| match value {
            Value::Int(number) => u64::try_from(*number).ok(),
            _ => None,
        };
        let (key, element, length, part) = match *fields.as_slice() {
            [
                Value::Text("storage"),
                Value::Global(Global::Storage(element)),
                Value::Text(key),
                _,
                length,
                ref rest @ ..,
            ] => {
                let length = size(length).ok_or_else(|| self.damaged("expected a storage of 0 numbers or more"))?;
                let part = match rest {
                    [] | [Value::None] => Some((0, length)),
                    [Value::Tuple(part)] if part.len() == 3 => size(value(&part[1])).zip(size(value(&part[2]))),
                    _ => None,
                };
                let inside = part.filter(|(start, count)| start.checked_add(*count).is_some_and(|end| end <= length));
                let part = inside.ok_or_else(|| self.damaged("expected a part that lies inside its storage"))?;
                (*key, *element, length, part)
            }
            _ => return Err(self.damaged("expected a storage as a persistent object: its class, name and length")),
        };
        let known = *self.storages.entry(key).or_insert((element, length));
        if known != (element, length) {
            let (found, expected) = ((element, length), known);
            return Err(self.damaged(format!("storage `{key}`: expected {expected:?} as before, found {found:?}")));
        }
        Ok(Storage { key, element, length, part })
    }
}

fn shortened(text: &str) -> String {
    text.escape_debug().take(40).collect()
}
