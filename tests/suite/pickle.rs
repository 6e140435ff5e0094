//! Pickles that Python wrote, and such as no Python would write.

use ddgan::pickle::{Array, Pickle, Value};
use ddgan::{Error, Result};
use proptest::prelude::*;

fn read(bytes: &[u8]) -> Result<Pickle> {
    Pickle::read(&mut &bytes[..], "some-file")
}

fn error(bytes: &[u8]) -> String {
    let error = read(bytes).unwrap_err();
    assert!(matches!(error, Error::Format { .. }), "{error:?}");
    assert!(error.to_string().starts_with("some-file: "), "{error}");
    error.to_string()
}

/// {'a': [1, 2.5, None, True, False, -70000, 1 << 40, 'é'], 't': (1, (2,), (3, 4), (5, 6, 7), (8, 9, 10, 11)),
///  'b': b'xy'} in protocols 1 to 4; that of protocol 5 differs in its second byte.
pub const PROTOCOLS: [&[u8]; 4] = [
    b"}q\x00(X\x01\x00\x00\x00aq\x01]q\x02(K\x01G@\x04\x00\x00\x00\x00\x00\x00NI01\nI00\nJ\x90\xee\xfe\xffL1099511627776L\nX\x02\x00\x00\x00\xc3\xa9q\x03eX\x01\x00\x00\x00tq\x04(K\x01(K\x02tq\x05(K\x03K\x04tq\x06(K\x05K\x06K\x07tq\x07(K\x08K\tK\nK\x0btq\x08tq\tX\x01\x00\x00\x00bq\nc_codecs\nencode\nq\x0b(X\x02\x00\x00\x00xyq\x0cX\x06\x00\x00\x00latin1q\rtq\x0eRq\x0fu.",
    b"\x80\x02}q\x00(X\x01\x00\x00\x00aq\x01]q\x02(K\x01G@\x04\x00\x00\x00\x00\x00\x00N\x88\x89J\x90\xee\xfe\xff\x8a\x06\x00\x00\x00\x00\x00\x01X\x02\x00\x00\x00\xc3\xa9q\x03eX\x01\x00\x00\x00tq\x04(K\x01K\x02\x85q\x05K\x03K\x04\x86q\x06K\x05K\x06K\x07\x87q\x07(K\x08K\tK\nK\x0btq\x08tq\tX\x01\x00\x00\x00bq\nc_codecs\nencode\nq\x0bX\x02\x00\x00\x00xyq\x0cX\x06\x00\x00\x00latin1q\r\x86q\x0eRq\x0fu.",
    b"\x80\x03}q\x00(X\x01\x00\x00\x00aq\x01]q\x02(K\x01G@\x04\x00\x00\x00\x00\x00\x00N\x88\x89J\x90\xee\xfe\xff\x8a\x06\x00\x00\x00\x00\x00\x01X\x02\x00\x00\x00\xc3\xa9q\x03eX\x01\x00\x00\x00tq\x04(K\x01K\x02\x85q\x05K\x03K\x04\x86q\x06K\x05K\x06K\x07\x87q\x07(K\x08K\tK\nK\x0btq\x08tq\tX\x01\x00\x00\x00bq\nC\x02xyq\x0bu.",
    b"\x80\x04\x95\\\x00\x00\x00\x00\x00\x00\x00}\x94(\x8c\x01a\x94]\x94(K\x01G@\x04\x00\x00\x00\x00\x00\x00N\x88\x89J\x90\xee\xfe\xff\x8a\x06\x00\x00\x00\x00\x00\x01\x8c\x02\xc3\xa9\x94e\x8c\x01t\x94(K\x01K\x02\x85\x94K\x03K\x04\x86\x94K\x05K\x06K\x07\x87\x94(K\x08K\tK\nK\x0bt\x94t\x94\x8c\x01b\x94C\x02xy\x94u.",
];

#[test]
fn every_protocol_gives_the_same_values() {
    let newest = [PROTOCOLS[3][..1].to_vec(), vec![5], PROTOCOLS[3][2..].to_vec()].concat();
    for bytes in PROTOCOLS.into_iter().chain([&newest[..]]) {
        let pickle = read(bytes).unwrap();
        let root = pickle.root();
        assert_eq!(root.describe(), "a dict of 3");
        let a: Vec<Value> = root.get("a").unwrap().items().unwrap().collect();
        assert_eq!((a[0].int::<u8>(), a[0].float(), a[0].bool()), (Some(1), None, None));
        assert_eq!(
            (a[1].float(), a[2].is_none(), a[3].bool(), a[4].bool()),
            (Some(2.5), true, Some(true), Some(false))
        );
        assert_eq!(
            (a[5].int(), a[5].int::<u32>(), a[6].int(), a[7].text()),
            (Some(-70_000), None, Some(1i64 << 40), Some("é"))
        );
        let tuples: Vec<Value> = root.get("t").unwrap().items().unwrap().collect();
        let numbers = |t: Value| t.items().map(|items| items.map(|i| i.int::<u8>().unwrap()).collect::<Vec<_>>());
        let got: Vec<_> = tuples.into_iter().map(numbers).collect();
        let want = [None, Some(vec![2]), Some(vec![3, 4]), Some(vec![5, 6, 7]), Some(vec![8, 9, 10, 11])];
        assert_eq!(got, want);
        assert_eq!(root.get("b").unwrap().bytes().unwrap(), &b"xy"[..]);
        assert!(root.get("c").is_none());
    }
}

#[test]
fn calls_are_kept_and_not_made() {
    let pickle = read(b"\x80\x02cposix\nsystem\nX\x02\x00\x00\x00ls\x85R.").unwrap();
    let call = pickle.root().object().unwrap();
    assert_eq!(call.callable.global(), Some(("posix", "system")));
    assert_eq!(call.args.tuple().map(|[line]| line.text()), Some(Some("ls")));
    assert_eq!(pickle.root().describe(), "posix.system(..)");

    // argparse.Namespace(lr=0.5), OrderedDict([('w', 1), ('b', 2)]), {1, 2}, frozenset({1}), bytearray(b'q')
    let pickle = read(
        b"\x80\x02cargparse\nNamespace\nq\x00)\x81q\x01}q\x02X\x02\x00\x00\x00lrq\x03G?\xe0\x00\x00\x00\x00\x00\x00sb.",
    )
    .unwrap();
    let namespace = pickle.root().object().unwrap();
    assert_eq!(namespace.callable.global(), Some(("argparse", "Namespace")));
    assert_eq!(namespace.state.unwrap().get("lr").unwrap().float(), Some(0.5));
    let pickle = read(
        b"\x80\x02ccollections\nOrderedDict\nq\x00)Rq\x01(X\x01\x00\x00\x00wq\x02K\x01X\x01\x00\x00\x00bq\x03K\x02u.",
    )
    .unwrap();
    let entries: Vec<_> =
        pickle.root().entries().unwrap().map(|(k, v)| (k.text().unwrap(), v.int::<u8>().unwrap())).collect();
    assert_eq!(entries, [("w", 1), ("b", 2)]);
    assert_eq!(
        read(b"\x80\x04\x95\t\x00\x00\x00\x00\x00\x00\x00\x8f\x94(K\x01K\x02\x90.")
            .unwrap()
            .root()
            .items()
            .unwrap()
            .len(),
        2
    );
    assert_eq!(
        read(b"\x80\x04\x95\x06\x00\x00\x00\x00\x00\x00\x00(K\x01\x91\x94.").unwrap().root().items().unwrap().len(),
        1
    );
    assert_eq!(read(b"\x80\x05\x96\x01\x00\x00\x00\x00\x00\x00\x00q\x94.").unwrap().root().bytes().unwrap(), &b"q"[..]);

    // The ways of a persistent reference, and an instance of protocol 0.
    let pickle = read(b"\x80\x02X\x07\x00\x00\x00storageK\x07\x86Q.").unwrap();
    let [kind, key] = pickle.root().persistent().unwrap().tuple().unwrap();
    assert_eq!((kind.text(), key.int()), (Some("storage"), Some(7)));
    assert_eq!(read(b"Psome key\n.").unwrap().root().persistent().unwrap().text(), Some("some key"));
    let pickle = read(b"(I3\nicollections\nCounter\n.").unwrap();
    let instance = pickle.root().object().unwrap();
    assert_eq!(instance.callable.describe(), "collections.Counter");
    assert_eq!(instance.args.tuple().map(|[three]| three.int()), Some(Some(3)));
}

#[test]
fn several_pickles_may_follow_each_other() {
    // A checkpoint of PyTorch before 1.6 begins with this number.
    let mut bytes = &b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.rest"[..];
    assert_eq!(Pickle::read(&mut bytes, "x").unwrap().root().int(), Some(0x1950_a86a_20f9_469c_fc6c_u128));
    assert_eq!(Pickle::read(&mut bytes, "x").unwrap().root().int(), Some(1001));
    assert_eq!(bytes, b"rest");
}

#[test]
fn arrays_of_numpy_are_read() {
    let want =
        Array { dtype: "|u1".into(), shape: vec![2, 3], fortran_order: false, data: vec![0, 1, 2, 3, 4, 5].into() };
    for bytes in [
        &b"\x80\x02cnumpy._core.multiarray\n_reconstruct\nq\x00cnumpy\nndarray\nq\x01K\x00\x85q\x02c_codecs\nencode\nq\x03X\x01\x00\x00\x00bq\x04X\x06\x00\x00\x00latin1q\x05\x86q\x06Rq\x07\x87q\x08Rq\t(K\x01K\x02K\x03\x86q\ncnumpy\ndtype\nq\x0bX\x02\x00\x00\x00u1q\x0c\x89\x88\x87q\rRq\x0e(K\x03X\x01\x00\x00\x00|q\x0fNNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\x10b\x89h\x03X\x06\x00\x00\x00\x00\x01\x02\x03\x04\x05q\x11h\x05\x86q\x12Rq\x13tq\x14b."[..],
        b"\x80\x04\x95\x91\x00\x00\x00\x00\x00\x00\x00\x8c\x16numpy._core.multiarray\x94\x8c\x0c_reconstruct\x94\x93\x94\x8c\x05numpy\x94\x8c\x07ndarray\x94\x93\x94K\x00\x85\x94C\x01b\x94\x87\x94R\x94(K\x01K\x02K\x03\x86\x94h\x03\x8c\x05dtype\x94\x93\x94\x8c\x02u1\x94\x89\x88\x87\x94R\x94(K\x03\x8c\x01|\x94NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t\x94b\x89C\x06\x00\x01\x02\x03\x04\x05\x94t\x94b.",
        b"\x80\x05\x95|\x00\x00\x00\x00\x00\x00\x00\x8c\x13numpy._core.numeric\x94\x8c\x0b_frombuffer\x94\x93\x94(\x96\x06\x00\x00\x00\x00\x00\x00\x00\x00\x01\x02\x03\x04\x05\x94\x8c\x05numpy\x94\x8c\x05dtype\x94\x93\x94\x8c\x02u1\x94\x89\x88\x87\x94R\x94(K\x03\x8c\x01|\x94NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t\x94bK\x02K\x03\x86\x94\x8c\x01C\x94t\x94R\x94.",
        // Python 2 and the numpy of its time.
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\nq\x01cnumpy\nndarray\nq\x02K\x00\x85U\x01b\x87Rq\x03(K\x01K\x02K\x03\x86cnumpy\ndtype\nq\x04U\x02u1K\x00K\x01\x87Rq\x05(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T\x06\x00\x00\x00\x00\x01\x02\x03\x04\x05tb.",
    ] {
        assert_eq!(read(bytes).unwrap().root().array().unwrap(), want);
    }
    // A byte too few.
    let bytes = b"\x80\x02cnumpy.core.multiarray\n_reconstruct\nNR(K\x01K\x02\x85cnumpy\ndtype\nU\x02u1\x85R(K\x03U\x01|t\x62\x89U\x01\x00tb.";
    assert!(read(bytes).unwrap().root().array().is_none());
}

#[test]
fn what_contains_itself_or_is_shared_is_stored_once() {
    let pickle = read(b"\x80\x02]q\x00h\x00a.").unwrap();
    let inside = pickle.root().items().unwrap().next().unwrap();
    assert_eq!(inside.items().unwrap().len(), 1);

    // Each tuple holds the one before twice: 2^1000 values if they were copied.
    let bytes = [&b"]"[..], &b"2\x86".repeat(1000), b"."].concat();
    let pickle = read(&bytes).unwrap();
    let [left, right] = pickle.root().tuple().unwrap();
    assert_eq!((left.describe(), right.describe()), ("a tuple of 2".into(), "a tuple of 2".into()));
}

#[test]
fn depth_does_not_matter() {
    let bytes = [vec![b')'], vec![0x85; 1_000_000], vec![b'.']].concat();
    let pickle = read(&bytes).unwrap();
    let mut depth = 0;
    let mut value = pickle.root();
    while let Some([inside]) = value.tuple() {
        (value, depth) = (inside, depth + 1);
    }
    assert_eq!(depth, 1_000_000);
}

#[test]
fn every_cut_is_an_error() {
    for bytes in PROTOCOLS {
        for end in 0..bytes.len() {
            error(&bytes[..end]);
        }
    }
    assert!(error(&PROTOCOLS[1][..20]).contains("cut short"));
}

#[test]
fn what_is_wrong_is_said() {
    for (bytes, part) in [
        (&b"<!DOCTYPE html>"[..], "0x3c is not supported"),
        (b"\x80\x09N.", "protocol 9"),
        (b".", "stack is empty"),
        (b"(.", "stack is empty"),
        (b"N(0a.", "stack is empty"),
        (b"Nt.", "a mark is missing"),
        (b"h\x07.", "value 7 is used before"),
        (b"NNa.", "no list"),
        (b"]NNs.", "no dict"),
        (b"}(Nu.", "without a value"),
        (b"NNb.", "has none"),
        (b"NNR}b}b.", "second state"),
        (b"NN\x93.", "no string"),
        (b"(o.", "no class"),
        (b"Itwo\n.", "no number"),
        (b"Vtext\n.", "0x56 is not supported"),
        (b"c\xff\nname\n.", "no text"),
        (b"\x8a\x11\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01.", "17 bytes"),
        (b"\x97.", "0x97 is not supported"),
        // Lengths that are not there cost no memory.
        (b"B\x00\x00\x00\x0fabc", "cut short"),
        (b"X\xff\xff\xff\xffabc", "268435456"),
        (b"\x8e\xff\xff\xff\xff\xff\xff\xff\xffabc", "268435456"),
    ] {
        let text = error(bytes);
        assert!(text.contains(part), "{part} is not in: {text}");
    }
    assert!(error(&[b'N'; 3 << 20]).contains("operations"));
    assert!(error(&[&b"c"[..], &[b'a'; 100_000]].concat()).contains("no end"));
    assert!(Pickle::open("no/such/file").unwrap_err().to_string().contains("no/such/file"));
}

/// Visits what a reader of files might.
fn visit(value: Value) {
    let _ = (value.describe(), value.array(), value.bytes(), value.get("data"), value.object(), value.persistent());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_input_breaks_the_reader(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(pickle) = read(&bytes) {
            visit(pickle.root());
        }
    }

    /// Operations that mean something, in any order.
    #[test]
    fn no_program_breaks_the_reader(
        operations in prop::collection::vec(prop::sample::select(&b"(012Nq\x01h\x01])}\x8felt\x91d\x85\x86\x87aesuRQob\x81\x94K."[..]), 0..60)
    ) {
        if let Ok(pickle) = read(&operations) {
            visit(pickle.root());
        }
    }

    #[test]
    fn no_damage_breaks_the_reader(which in 0..4usize, at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = PROTOCOLS[which].to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(pickle) = read(&bytes) {
            visit(pickle.root());
        }
    }
}
