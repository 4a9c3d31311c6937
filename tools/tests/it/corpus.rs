//! What may be trained on: licences by exact words, bad files counted, an empty folder said so.

use crate::support::samples;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use tools::data::{Corpus, CorpusOptions};

fn options(folder: &Path) -> CorpusOptions {
    CorpusOptions {
        folder: folder.to_owned(),
        held_out: BTreeSet::new(),
        only_held_out: false,
        scale: 4,
        min_side: 128,
        seed: 1,
    }
}

#[expect(clippy::disallowed_methods, reason = "a test's own temporary files")]
fn put(folder: &Path, name: &str, bytes: &[u8]) {
    fs::write(folder.join(name), bytes).unwrap();
}

fn picture(width: u32, height: u32) -> Vec<u8> {
    let rgb =
        image::RgbImage::from_fn(width, height, |x, y| image::Rgb([(x % 256) as u8, (y % 256) as u8, 7]));
    let mut bytes = std::io::Cursor::new(Vec::new());
    rgb.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

#[test]
fn only_licences_on_the_list_are_trained_on() {
    let folder = tempfile::tempdir().unwrap();
    let sample = fs::read(samples().join("city.jpg")).unwrap();
    let mut manifest = "file,license\n".to_owned();
    for (i, licence) in
        ["CC0-1.0", "Unsplash License", "CC-BY-NC-4.0", "CC-BY-SA-4.0", "cc0-1.0"].iter().enumerate()
    {
        put(folder.path(), &format!("{i}.jpg"), &sample);
        manifest += &format!("{i}.jpg,{licence}\n");
    }
    put(folder.path(), "manifest.csv", manifest.as_bytes());
    put(folder.path(), "not-listed.jpg", &sample);
    let corpus = Corpus::load(&options(folder.path())).unwrap();
    let files: Vec<&str> = corpus.pairs.iter().map(|p| p.file.as_str()).collect();
    assert_eq!(files, ["0.jpg", "3.jpg"]);
    assert_eq!(corpus.facts.licence_excluded, 3);

    let mut held = options(folder.path());
    held.held_out = BTreeSet::from(["3.jpg".to_owned()]);
    let rest = Corpus::load(&held).unwrap();
    assert_eq!((rest.facts.crops, rest.facts.held_out), (1, 1));
    held.only_held_out = true;
    assert_eq!(Corpus::load(&held).unwrap().pairs[0].file, "3.jpg");
    // It is the file that is held out, however the list or the manifest spells its name.
    std::os::unix::fs::symlink("3.jpg", folder.path().join("link.jpg")).unwrap();
    let absolute = folder.path().join("3.jpg").display().to_string();
    for name in ["./3.jpg", "link.jpg", absolute.as_str()] {
        (held.held_out, held.only_held_out) = (BTreeSet::from([name.to_owned()]), false);
        let rest = Corpus::load(&held).unwrap();
        assert_eq!((rest.pairs[0].file.as_str(), rest.facts.held_out), ("0.jpg", 1), "{name}");
    }
    // A list that is of other files would leave nothing out, and say nothing.
    held.held_out = BTreeSet::from(["sub/3.jpg".to_owned(), "8.jpg".to_owned()]);
    let refused = Corpus::load(&held).unwrap_err().to_string();
    assert!(refused.starts_with("none of the 2 files that are held out is in "), "{refused}");
    assert!(refused.contains("e.g. 8.jpg"), "{refused}");
}

#[test]
fn a_picture_is_taken_once_whatever_leads_to_it() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("sub")).unwrap();
    put(&folder.path().join("sub"), "a.png", &picture(300, 200));
    std::os::unix::fs::symlink(".", folder.path().join("all")).unwrap();
    std::os::unix::fs::symlink("sub/a.png", folder.path().join("b.png")).unwrap();
    std::os::unix::fs::symlink("nowhere.png", folder.path().join("c.png")).unwrap();
    let facts = Corpus::load(&options(folder.path())).unwrap().facts;
    assert_eq!((facts.files, facts.crops, facts.unreadable), (1, 1, 1), "{facts}");
}

#[test]
fn bad_and_small_files_are_counted_and_large_ones_are_cut() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "whole.png", &picture(301, 203));
    put(folder.path(), "small.png", &picture(127, 300));
    put(folder.path(), "large.png", &picture(1100, 1000));
    put(folder.path(), "thin.png", &picture(700, 130));
    put(folder.path(), "text.jpg", b"this is no picture");
    put(folder.path(), "truncated.png", &picture(300, 300)[..500]);
    // Decoders make the rest of it grey and say nothing; what stands behind its end does no harm.
    let jpeg = fs::read(samples().join("city.jpg")).unwrap();
    put(folder.path(), "truncated.jpg", &jpeg[..jpeg.len() / 2]);
    put(folder.path(), "followed.jpg", &[&jpeg[..], &[0; 99]].concat());
    put(folder.path(), "inks.jpg", include_bytes!("../data/cmyk.jpg"));
    put(folder.path(), "notes.txt", b"not looked at");
    let corpus = Corpus::load(&options(folder.path())).unwrap();
    let facts = &corpus.facts;
    assert_eq!((facts.files, facts.unreadable, facts.too_small), (4, 4, 1), "{facts}");
    // 300×200 whole, 8 of the 12 cells of the large one, two cells of 256×128 of the thin one; 256×256.
    assert_eq!(facts.crops, 1 + 8 + 2 + 1, "{facts}");
    let sizes: BTreeSet<String> = corpus.pairs.iter().map(|p| p.large.size.to_string()).collect();
    assert_eq!(sizes, BTreeSet::from(["256×128", "256×256", "300×200"].map(str::to_owned)));
}

#[test]
fn an_empty_folder_and_a_missing_one_are_said_in_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let empty = Corpus::load(&options(folder.path())).unwrap_err().to_string();
    assert!(empty.starts_with("no picture to train on in "), "{empty}");
    assert!(empty.ends_with("0 unreadable, 0 too small, 0 by licence, 0 held out"), "{empty}");
    let missing = Corpus::load(&options(&folder.path().join("nowhere"))).unwrap_err().to_string();
    assert!(missing.starts_with("cannot read ") && missing.contains("nowhere"), "{missing}");
    put(folder.path(), "manifest.csv", b"name,licence\na.jpg,MIT\n");
    let manifest = Corpus::load(&options(folder.path())).unwrap_err().to_string();
    assert!(manifest.ends_with("no column \"file\"; a manifest needs file and license"), "{manifest}");
}
