//! Names of foreign Python objects: told, and never looked up. Names that reach the system are refused all the same, since a
//! file of weights that has one was made to run it.

use std::collections::{BTreeMap, BTreeSet};

use super::value::Id;
use crate::Error;

/// The longest name that is kept, in characters.
const LONGEST: usize = 200;

/// The most names of one pickle.
const NAMES: usize = 10_000;

/// Modules that reach the system, run code or load more of it.
const SYSTEM: [&str; 40] = [
    "os",
    "posix",
    "nt",
    "ntpath",
    "posixpath",
    "subprocess",
    "_posixsubprocess",
    "sys",
    "shutil",
    "runpy",
    "pickle",
    "_pickle",
    "cPickle",
    "marshal",
    "importlib",
    "imp",
    "pkgutil",
    "zipimport",
    "socket",
    "_socket",
    "ctypes",
    "_ctypes",
    "code",
    "codeop",
    "pty",
    "commands",
    "popen2",
    "multiprocessing",
    "webbrowser",
    "urllib",
    "urllib2",
    "requests",
    "http",
    "httplib",
    "ftplib",
    "smtplib",
    "timeit",
    "pdb",
    "bdb",
    "pip",
];

/// Functions of Python's own that run code or open files.
const BUILTINS: [&str; 14] = [
    "eval",
    "exec",
    "execfile",
    "compile",
    "__import__",
    "open",
    "input",
    "raw_input",
    "file",
    "apply",
    "reload",
    "breakpoint",
    "exit",
    "quit",
];

/// Attributes by which an object of any kind reaches all others.
const REACHING: [&str; 5] = ["__globals__", "__subclasses__", "__builtins__", "__import__", "__loader__"];

/// Functions of PyTorch that load files or run code.
const TORCH: [&str; 9] = ["load", "save", "jit", "hub", "ops", "package", "compile", "export", "classes"];

/// Refuses a name that was made to be run.
pub(super) fn refuse_code(module: &str, name: &str) -> Result<(), Error> {
    let mut parts = module.split('.').chain(name.split('.'));
    let first = parts.next().unwrap_or_default();
    let rest = || module.split('.').chain(name.split('.')).skip(1);
    let own = match first {
        "builtins" | "__builtin__" | "__builtins__" => rest().any(|part| BUILTINS.contains(&part)),
        "torch" => rest().next().is_some_and(|part| TORCH.contains(&part)) || module.starts_with("torch.utils.cpp_ext"),
        _ => false,
    };
    // By dots a name reaches what a module has imported: `torch.serialization.os.system`.
    let reaches = |part: &str| SYSTEM.contains(&part) || REACHING.contains(&part);
    if own || SYSTEM.contains(&first) || REACHING.contains(&name) || name.contains('.') && name.split('.').any(reaches)
    {
        return Err(Error::Code { name: shown(&format!("{module}.{name}")) });
    }
    Ok(())
}

fn shown(name: &str) -> String {
    name.escape_debug().take(LONGEST).collect()
}

/// The number of a foreign name in its pickle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Class(u32);

/// The foreign names of a pickle, and what is known of their objects.
#[derive(Debug, Default)]
pub(crate) struct Foreign {
    names: Vec<String>,
    numbers: BTreeMap<String, Class>,
    /// Classes of which an object was made.
    made: BTreeSet<Class>,
    /// Classes whose objects have the state of a `torch.nn.Module`.
    modules: BTreeSet<Class>,
    /// Whether there is an array of NumPy.
    arrays: bool,
    /// Items put into objects, as into dictionaries.
    items: BTreeMap<Id, Vec<(Id, Id)>>,
}

impl Foreign {
    /// The number of a name.
    pub(super) fn class(&mut self, module: &str, name: &str) -> Result<Class, Error> {
        let name = shown(&format!("{module}.{name}"));
        if let Some(known) = self.numbers.get(&name) {
            return Ok(*known);
        }
        if self.names.len() >= NAMES {
            let (limit, found) = (NAMES as u64, NAMES as u64 + 1);
            return Err(Error::TooLarge { what: "names of Python objects".into(), limit, found });
        }
        let class = Class(self.names.len() as u32);
        self.names.push(name.clone());
        self.numbers.insert(name, class);
        Ok(class)
    }

    /// Notes that an object was made.
    pub(super) fn make(&mut self, class: Class) {
        self.made.insert(class);
    }

    /// Notes that an object of the class has a module's state.
    pub(super) fn is_module(&mut self, class: Class) {
        self.modules.insert(class);
    }

    /// Notes that there is an array of NumPy.
    pub(super) fn has_array(&mut self) {
        self.arrays = true;
    }

    /// What stands in place of tensors that can be read, where it is known.
    pub(crate) fn instead_of_tensors(&self) -> Option<(&'static str, &'static str)> {
        if self.made().any(|name| name.starts_with("torch._utils._rebuild_meta_tensor")) {
            let remedy = "load the weights into the model before its state_dict is saved";
            return Some(("tensors of the meta device, which have no numbers", remedy));
        }
        let remedy = "make them tensors first: {name: torch.from_numpy(array) for name, array in state.items()}";
        self.arrays.then_some(("arrays of NumPy in place of tensors", remedy))
    }

    /// Puts items into an object.
    pub(super) fn put(&mut self, object: Id, items: Vec<(Id, Id)>) {
        self.items.entry(object).or_default().extend(items);
    }

    /// The items that were put into an object.
    pub(crate) fn items(&self, object: Id) -> Option<&[(Id, Id)]> {
        self.items.get(&object).map(Vec::as_slice)
    }

    /// The name of a class.
    pub(crate) fn name(&self, class: Class) -> &str {
        &self.names[class.0 as usize]
    }

    /// The names of which an object was made, in the order of the file.
    pub(crate) fn made(&self) -> impl Iterator<Item = &str> {
        self.made.iter().map(|class| self.name(*class))
    }

    /// The class of the outermost network: its name comes before those of the networks inside it.
    pub(crate) fn network(&self) -> Option<&str> {
        self.modules.first().map(|class| self.name(*class))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_reach_the_system_are_refused_and_others_are_not() {
        for (module, name) in [
            ("os", "system"),
            ("builtins", "eval"),
            ("torch", "load"),
            ("torch.hub", "load_state_dict_from_url"),
            ("torch", "serialization.os.system"),
            ("torch.jit", "load"),
            ("torch", "hub.load"),
            ("subprocess", "Popen"),
            ("multiprocessing.util", "spawnv_passfds"),
        ] {
            assert!(matches!(refuse_code(module, name), Err(Error::Code { .. })), "{module}.{name}");
        }
        for (module, name) in [
            ("torch.nn.modules.loss", "CrossEntropyLoss"),
            ("omegaconf.dictconfig", "DictConfig"),
            ("functools", "partial"),
            ("builtins", "object"),
            ("torch", "float8_e4m3fn"),
            ("mylib.os", "Config"),
            ("enum", "Enum"),
        ] {
            assert_eq!(refuse_code(module, name), Ok(()), "{module}.{name}");
        }
    }
}
