//! Files as torch.save writes them, made of their bytes.

/// A zip archive as PyTorch's writer makes it: stored entries, and the records of a large archive behind the directory.
pub fn torch_zip(entries: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut directory = Vec::new();
    for (name, data) in entries {
        let mut crc = flate2::Crc::new();
        crc.update(data);
        let start = out.len() as u32;
        let mut fields = Vec::new();
        for number in [20u16, 0, 0, 0, 0] {
            fields.extend(number.to_le_bytes());
        }
        for number in [crc.sum(), data.len() as u32, data.len() as u32] {
            fields.extend(number.to_le_bytes());
        }
        fields.extend((name.len() as u16).to_le_bytes());
        // Numbers begin at a multiple of 64.
        let padding = 64 - (out.len() + 30 + name.len() + 4) % 64;
        out.extend(b"PK\x03\x04");
        out.extend(&fields);
        out.extend((padding as u16 + 4).to_le_bytes());
        out.extend(name.as_bytes());
        out.extend(b"FB");
        out.extend((padding as u16).to_le_bytes());
        out.extend(vec![b'Z'; padding]);
        out.extend(data);
        directory.extend(b"PK\x01\x02\0\0");
        directory.extend(&fields);
        directory.extend([0; 12]);
        directory.extend(start.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let (start, size, count) = (out.len() as u64, directory.len() as u64, entries.len() as u64);
    out.extend(directory);
    let large = out.len() as u64;
    out.extend(b"PK\x06\x06");
    out.extend(44u64.to_le_bytes());
    out.extend([0x1e, 3, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    [count, count, size, start].iter().for_each(|number| out.extend(number.to_le_bytes()));
    out.extend(b"PK\x06\x07\0\0\0\0");
    out.extend(large.to_le_bytes());
    out.extend(1u32.to_le_bytes());
    out.extend(b"PK\x05\x06\0\0\0\0");
    [count as u16, count as u16].iter().for_each(|number| out.extend(number.to_le_bytes()));
    [size as u32, start as u32].iter().for_each(|number| out.extend(number.to_le_bytes()));
    out.extend([0, 0]);
    out
}

/// A file of torch.save called `stem`: a pickle, and its storages by number.
pub fn saved(stem: &str, pickle: &[u8], storages: &[Vec<f32>]) -> Vec<u8> {
    let mut entries =
        vec![(format!("{stem}/data.pkl"), pickle.to_vec()), (format!("{stem}/byteorder"), b"little".to_vec())];
    for (key, values) in storages.iter().enumerate() {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        entries.push((format!("{stem}/data/{key}"), bytes));
    }
    entries.push((format!("{stem}/version"), b"3\n".to_vec()));
    entries.push((format!("{stem}/.data/serialization_id"), vec![b'1'; 40]));
    torch_zip(&entries)
}

/// Opcodes of a pickle, put together by hand.
pub mod pickle {
    pub fn whole(inside: &[Vec<u8>]) -> Vec<u8> {
        [&[0x80, 2][..], &inside.concat(), b"."].concat()
    }

    pub fn text(text: &str) -> Vec<u8> {
        [b"X", &(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat()
    }

    pub fn global(module: &str, name: &str) -> Vec<u8> {
        format!("c{module}\n{name}\n").into_bytes()
    }

    pub fn dict(items: &[(&str, Vec<u8>)]) -> Vec<u8> {
        let inside: Vec<u8> = items.iter().flat_map(|(key, value)| [text(key), value.clone()].concat()).collect();
        [&b"}("[..], &inside, b"u"].concat()
    }

    pub fn tuple(items: &[Vec<u8>]) -> Vec<u8> {
        [&b"("[..], &items.concat(), b"t"].concat()
    }

    pub fn number(number: u32) -> Vec<u8> {
        [b"J", &number.to_le_bytes()[..]].concat()
    }

    /// What a call of a class or function gives.
    pub fn call(module: &str, name: &str, arguments: &[Vec<u8>]) -> Vec<u8> {
        [global(module, name), tuple(arguments), b"R".to_vec()].concat()
    }

    /// An object of a class, made without arguments and given attributes.
    pub fn object(module: &str, name: &str, attributes: &[(&str, Vec<u8>)]) -> Vec<u8> {
        [global(module, name), b")\x81".to_vec(), dict(attributes), b"b".to_vec()].concat()
    }

    /// A storage of `length` numbers.
    pub fn storage(class: &str, key: usize, length: u32) -> Vec<u8> {
        let parts = [text("storage"), global("torch", class), text(&key.to_string()), text("cpu"), number(length)];
        [tuple(&parts), b"Q".to_vec()].concat()
    }

    /// A tensor of one axis that is the start of a storage, rebuilt by a function, with more arguments behind the usual.
    pub fn view(function: &str, storage: Vec<u8>, shape: &[u32; 1], more: &[Vec<u8>]) -> Vec<u8> {
        let hooks = call("collections", "OrderedDict", &[]);
        let (shape, strides) = (tuple(&shape.map(number)), tuple(&[number(1)]));
        let usual = [storage, number(0), shape, strides, b"\x89".to_vec(), hooks];
        call("torch._utils", function, &[&usual[..], more].concat())
    }

    /// A tensor of one axis in a storage of floats.
    pub fn tensor(key: usize, length: u32) -> Vec<u8> {
        view("_rebuild_tensor_v2", storage("FloatStorage", key, length), &[length], &[])
    }
}
