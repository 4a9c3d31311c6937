//! Models from elsewhere: under their terms they give what they would give at home, whatever their order,
//! range and shape; and terms that do not fit are told before any picture.

use crate::support::pictures::{difference, nearest, open, pattern, png};
use crate::support::process::{Said, onestep, repository, said, start, until};
use crate::support::{World, onnx};
use contract::geometry::Size;
use contract::pixels::Picture;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// Writes a configuration of these tables, and nothing else.
fn config(world: &World, tables: &str) -> PathBuf {
    let path = world.root.path().join("models.toml");
    fs::write(&path, tables).expect("writable");
    path
}

fn file(world: &World, name: &str, bytes: &[u8]) -> PathBuf {
    let path = world.root.path().join(name);
    fs::write(&path, bytes).expect("writable");
    path
}

/// `once` of the whole input folder, in f32.
fn once(world: &World, output: &Path, words: &[&str]) -> Said {
    let mut all: Vec<OsString> = vec!["once".into(), (&world.input).into(), "-o".into(), output.into()];
    all.push("--device=cpu".into());
    if !words.contains(&"--precision=auto") {
        all.push("--precision=f32".into());
    }
    all.extend(words.iter().map(OsString::from));
    said(&mut onestep(world.root.path(), &all))
}

/// `models` of a configuration alone.
fn models(world: &World, config: &Path) -> Said {
    let ours = world.root.path().join("ours");
    onnx::tiny(&ours);
    let words = ["models".into(), "--folder".into(), ours, "--config".into(), config.to_owned()];
    said(&mut onestep(world.root.path(), &words))
}

/// A part of a sample.
fn photo(name: &str, size: Size) -> Picture {
    let rgb = image::open(repository().join("samples").join(name)).expect("a sample").into_rgb8();
    let rgb = image::imageops::crop_imm(&rgb, 30, 40, size.width as u32, size.height as u32).to_image();
    Picture { size, channels: 3, samples: rgb.into_raw() }
}

#[test]
fn the_shipped_model_gives_the_same_under_terms() {
    let world = World::new();
    let shipped = repository().join("models/sr-x4-mean.onnx");
    let bytes = onnx::told_and_in_bytes(&fs::read(&shipped).expect("it ships"));
    file(&world, "other.onnx", &bytes);
    let tables = "[[model]]\nname = 'other'\nfile = 'other.onnx'\nscale = 4\nhalo = 14\noutput = 'bytes'\n\
                  output_range = '0..255'\n";
    let config = config(&world, tables);
    world.put("a.png", png(&photo("city.jpg", Size::new(90, 70))));
    let [ours, theirs] = ["ours", "theirs"].map(|name| world.root.path().join(name));
    let shipped = shipped.to_str().expect("text");
    let said = once(&world, &ours, &["--model", shipped, "--source=clean"]);
    assert_eq!(said.code(), 0, "{said:?}");
    let words = ["--model=other", "--config", config.to_str().expect("text")];
    let said = once(&world, &theirs, &words);
    assert_eq!(said.code(), 0, "{said:?}");
    let gap = difference(&open(&ours.join("a.png")), &open(&theirs.join("a.png")));
    assert!(gap <= 1, "they differ by {gap} levels");
    // The same terms again are done; others are another result.
    assert!(once(&world, &theirs, &words).stderr.contains("0 done, 1 already there"));
    fs::write(&config, tables.replace("halo = 14", "halo = 16")).expect("writable");
    assert!(once(&world, &theirs, &words).stderr.contains("1 done, 0 already there"));
    fs::write(&config, tables.replace("halo = 14", "halo = 2")).expect("writable");
    let small = models(&world, &config);
    assert!(small.stdout.contains("of 255 levels: give it more") && small.stderr.contains("seams may show"));
    assert!(!small.stdout.contains("LOOK AT IT"), "{small:?}");
    let mistaken =
        tables.replace("output_range = '0..255'", "range = '0..255'").replace("'bytes'", "'output'");
    fs::write(&config, mistaken).expect("writable");
    let mistaken = models(&world, &config).stdout;
    assert!(mistaken.contains("range     LOOK AT IT: ") && mistaken.contains("better: 0..1 ("), "{mistaken}");
    fs::write(&config, tables).expect("writable");
    let strength = once(&world, &theirs, &[&words[..], &["--strength=0.5"]].concat());
    assert!(strength.code() == 2 && strength.stderr.contains("its strength can only be 0"), "{strength:?}");
}

/// Many windows of a graph that takes one square at a time; and single channels of one that takes any number.
#[test]
fn order_kinds_and_fixed_shapes_are_read_from_the_graph() {
    let world = World::new();
    file(&world, "fixed.onnx", &onnx::nearest_of(onnx::F32, true, 3, Some(40)));
    file(&world, "each.onnx", &onnx::nearest_of(onnx::F32, false, 1, None));
    file(&world, "alone.onnx", &onnx::nearest_of(onnx::F32, true, 1, Some(40)));
    file(&world, "half.onnx", &onnx::nearest_of(onnx::F16, false, 3, None));
    file(&world, "bytes.onnx", &onnx::nearest_of(onnx::U8, true, 3, None));
    let config = config(
        &world,
        "[[model]]\nname = 'fixed'\nfile = 'fixed.onnx'\nscale = 2\nhalo = 4\n\
         [[model]]\nname = 'each'\nfile = 'each.onnx'\nscale = 2\nhalo = 4\nchannels = 'each'\n\
         range = '-1..1'\nmultiple_of = 6\n\
         [[model]]\nname = 'alone'\nfile = 'alone.onnx'\nscale = 2\nhalo = 4\nchannels = 'each'\n\
         [[model]]\nname = 'half'\nfile = 'half.onnx'\nscale = 2\nhalo = 4\n\
         [[model]]\nname = 'bytes'\nfile = 'bytes.onnx'\nscale = 2\nhalo = 4\n",
    );
    let picture = pattern(67, 51, 3);
    world.put("a.png", png(&picture));
    let told = models(&world, &config);
    assert_eq!(told.code(), 0, "{told:?}");
    for line in [
        "window    40×40, the only one that it takes",
        "terms     super-resolution x2 -1..1 to -1..1 each nchw multiple 6 halo 4 of x - y",
        "terms     super-resolution x2 0..255 to 0..255 rgb nhwc multiple 1 halo 4 of x - y",
        "precision f16",
        "halo      4; beyond it, tiles differ by 0.00 of 255 levels\n",
    ] {
        assert!(told.stdout.contains(line), "{line}: {}", told.stdout);
    }
    for name in ["fixed", "each", "alone", "half", "bytes"] {
        let output = world.root.path().join(name);
        let words = ["--model", name, "--config", config.to_str().expect("text"), "--precision=auto"];
        let said = once(&world, &output, &words);
        assert_eq!(said.code(), 0, "{said:?}");
        assert_eq!(open(&output.join("a.png")), nearest(&picture, 2), "{name}");
    }
}

/// What it says of itself is tried, also where its windows have one size alone.
#[test]
fn a_graph_that_takes_one_window_and_says_any_number_gets_one() {
    let world = World::new();
    file(&world, "one.onnx", &onnx::alone(40));
    let config = config(
        &world,
        "[device]\nbatch = 4\n[[model]]\nname = 'one'\nfile = 'one.onnx'\nscale = 2\nhalo = 4\n",
    );
    let picture = pattern(90, 70, 3);
    world.put("a.png", png(&picture));
    let output = world.root.path().join("out");
    let words = ["--model=one", "--config", config.to_str().expect("text")];
    let said = once(&world, &output, &words);
    assert_eq!(said.code(), 0, "{said:?}");
    assert!(said.stderr.contains("evaluated one by one, since it does not take two windows together: one"));
    assert!(!said.stderr.contains("halved"), "{said:?}");
    assert_eq!(open(&output.join("a.png")), nearest(&picture, 2));
}

#[test]
fn terms_that_do_not_fit_are_told_before_any_picture() {
    let world = World::new();
    file(&world, "any.onnx", &onnx::nearest_of(onnx::F32, false, 3, None));
    file(&world, "fixed.onnx", &onnx::nearest_of(onnx::F32, true, 3, Some(40)));
    file(&world, "grey.onnx", &onnx::nearest_of(onnx::F32, false, 1, None));
    file(&world, "text.onnx", b"no model");
    let table = |file: &str, lines: &str| {
        let told = models(
            &world,
            &config(&world, &format!("[[model]]\nname = 'other'\nfile = '{file}'\nscale = 2\n{lines}\n")),
        );
        assert_eq!(told.code(), 2, "{told:?}");
        format!("{}{}", told.stdout, told.stderr)
    };
    #[track_caller]
    fn check(told: &str, sentence: &str) {
        assert!(told.contains(sentence), "{sentence}: {told}");
    }
    check(&table("gone.onnx", ""), "cannot be used: model ");
    check(&table("gone.onnx", ""), "gone.onnx: cannot be read: No such file");
    check(&table("text.onnx", ""), "is no model that ONNX Runtime can open");
    check(&table("grey.onnx", ""), "channels = \"each\" gives it each colour by itself");
    check(&table("fixed.onnx", "layout = 'nchw'"), "not 3: is its layout nhwc?");
    check(&table("fixed.onnx", "halo = 20"), "takes windows of 40×40 alone: with halo = 20 nothing is left");
    check(&table("any.onnx", "input = 'picture'"), "input is \"picture\", but the graph has x");
    check(&table("any.onnx", "output = 'z'"), "output is \"z\", but the graph has y");
    check(&table("any.onnx", "output_range = '0..255'"), "what it gives is not like what it is given");
    let three = config(&world, "[[model]]\nname = 'other'\nfile = 'any.onnx'\nscale = 3\n");
    check(&models(&world, &three).stdout, "scale is 3, but a window of 80×80 gave 160×160: it is 2");
    let repairs = config(&world, "[[model]]\nname = 'other'\nfile = 'any.onnx'\ntask = 'inpaint'\n");
    check(&models(&world, &repairs).stdout, "the graph has one input alone, \"x\": it takes no mask");
    let named = "[[model]]\nname = 'other'\nfile = 'any.onnx'\ntask = 'inpaint'\nmask_input = 'm'\n";
    let named = config(&world, named);
    check(&models(&world, &named).stdout, "mask_input is \"m\", but the graph has x");
    file(&world, "halves.onnx", &onnx::halves());
    let halves = |lines: &str| {
        let table = format!("[[model]]\nname = 'other'\nfile = 'halves.onnx'\nscale = 1\n{lines}\n");
        models(&world, &config(&world, &table))
    };
    check(&halves("").stdout, "is multiple_of larger than 1?");
    assert_eq!(halves("multiple_of = 2").code(), 0);
    let whole = repository().join("models/sr-x4.onnx");
    let whole = config(&world, &format!("[[model]]\nname = 'other'\nfile = {whole:?}\nscale = 4\n"));
    check(
        &models(&world, &whole).stdout,
        "input must be named: the graph has image, noise, strength, source",
    );
    assert_eq!(world.outputs(), [""; 0]);
}

/// What the shipped model repairs it repairs under terms too: the same crops, the same fill.
#[test]
fn a_model_that_repairs_is_served_with_masks() {
    let world = World::new();
    let shipped = repository().join("models/inpaint-mean.onnx");
    let table = format!(
        "[[model]]\nname = 'other'\nfile = {shipped:?}\ntask = 'inpaint'\nhalo = 64\nmultiple_of = 8\n"
    );
    let config = config(&world, &table);
    let picture = photo("grass.jpg", Size::new(96, 80));
    world.put("a.png", png(&picture));
    let mut mask = Picture::new(picture.size, 1);
    for y in 30..36 {
        mask.samples[y * 96 + 20..][..30].fill(255);
    }
    world.put("a.mask.png", png(&mask));
    let [ours, theirs] = ["ours", "theirs"].map(|name| world.root.path().join(name));
    let said = once(&world, &ours, &["--task=inpaint", "--model", shipped.to_str().expect("text")]);
    assert_eq!(said.code(), 0, "{said:?}");
    let words = ["--task=inpaint", "--model=other", "--config", config.to_str().expect("text")];
    let said = once(&world, &theirs, &words);
    assert_eq!(said.code(), 0, "{said:?}");
    let (ours, theirs) = (open(&ours.join("a.png")), open(&theirs.join("a.png")));
    assert_eq!(difference(&ours, &theirs), 0);
    assert!(difference(&theirs, &picture) > 0, "something was repaired");
}

/// A network that gives less than its window, the first of whose colours is brighter: red or blue.
#[test]
fn unpadded_networks_are_served_and_colours_have_their_order() {
    let world = World::new();
    file(&world, "less.onnx", &onnx::unpadded(8.0 / 255.0));
    let table = |name: &str, lines: &str| {
        format!("[[model]]\nname = '{name}'\nfile = 'less.onnx'\nscale = 1\n{lines}\n")
    };
    let tables = [table("rgb", "halo = 1"), table("bgr", "halo = 3\nchannels = 'bgr'")].concat();
    let config = config(&world, &tables);
    let picture = Picture { size: Size::new(67, 51), channels: 3, samples: vec![90; 3 * 67 * 51] };
    world.put("a.png", png(&picture));
    for (name, brighter) in [("rgb", 0), ("bgr", 2)] {
        let output = world.root.path().join(name);
        let said = once(&world, &output, &["--model", name, "--config", config.to_str().expect("text")]);
        assert_eq!(said.code(), 0, "{said:?}");
        let mut expected = picture.clone();
        expected.samples.iter_mut().skip(brighter).step_by(3).for_each(|value| *value += 8);
        assert_eq!(open(&output.join("a.png")), expected, "{name}");
    }
    let none = self::config(&world, &table("none", "halo = 0"));
    assert!(models(&world, &none).stdout.contains("not as much of its middle as halo = 0 leaves"));
    // Its middle depends on one pixel: a halo of one is enough, and said to be.
    let told = models(&world, &self::config(&world, &tables)).stdout;
    assert!(told.contains("halo      1; beyond it, tiles differ by 0.00 of 255 levels\n"), "{told}");
}

/// A picture and its mask in one tensor, and weights in a second file, which are part of what it is.
#[test]
fn four_channels_and_a_second_file_are_served() {
    let world = World::new();
    let (graph, weights) = onnx::joined("red.onnx.data");
    file(&world, "red.onnx", &graph);
    let table = "[[model]]\nname = 'red'\nfile = 'red.onnx'\ntask = 'inpaint'\nhalo = 8\n";
    let config = config(&world, table);
    let lacking = models(&world, &config);
    let sentence = "Its weights lie in another file, which is looked for beside it as NAME.onnx.data";
    assert!(lacking.code() == 2 && lacking.stdout.contains(sentence), "{lacking:?}");
    file(&world, "red.onnx.data", &weights);
    let told = models(&world, &config);
    assert!(told.stdout.contains("inpainting x1 0..1 to 0..1 rgb nchw hole 1 filled"), "{told:?}");
    let grey = Picture { size: Size::new(60, 50), channels: 3, samples: vec![100; 3 * 60 * 50] };
    world.put("a.png", png(&grey));
    let mut mask = Picture::new(grey.size, 1);
    mask.samples[20 * 60 + 30] = 255;
    world.put("a.mask.png", png(&mask));
    let words =
        ["--task=inpaint", "--mask-grow-px=0", "--model=red", "--config", config.to_str().expect("text")];
    let run = || once(&world, &world.output, &words);
    assert_eq!(run().code(), 0);
    let mut expected = grey;
    expected.samples[3 * (20 * 60 + 30)] = 164;
    assert_eq!(open(&world.output.join("a.png")), expected, "a quarter more of red, in the hole alone");
    assert!(run().stderr.contains("0 done, 1 already there"));
    let mut other = weights;
    other[12..16].copy_from_slice(&0.5f32.to_le_bytes());
    file(&world, "red.onnx.data", &other);
    assert!(run().stderr.contains("1 done, 0 already there"), "other weights are another model");
}

#[test]
fn a_pipeline_names_a_model_from_elsewhere() {
    let world = World::new();
    file(&world, "any.onnx", &onnx::nearest_of(onnx::F32, false, 3, None));
    file(&world, "fixed.onnx", &onnx::nearest_of(onnx::F32, true, 3, Some(40)));
    file(&world, "half.onnx", &onnx::nearest_of(onnx::F16, false, 3, None));
    fs::create_dir(world.root.path().join("in2")).expect("writable");
    // Three windows at a time, of a graph that takes any number, and of one that takes one.
    let text = format!(
        "[[pipeline]]\ninput = {:?}\noutput = {:?}\nmodel = 'other'\nsettle_ms = 100\n\
         [[pipeline]]\ninput = 'in2'\noutput = 'out2'\nmodel = 'fixed'\nsettle_ms = 100\n\
         [device]\ndevice = 'cpu'\nbatch = 3\nwindow_px = 64\nprecision = 'auto'\n\
         [[model]]\nname = 'other'\nfile = 'any.onnx'\nscale = 2\nhalo = 2\n\
         [[model]]\nname = 'fixed'\nfile = 'fixed.onnx'\nscale = 2\nhalo = 4\n\
         [[model]]\nname = 'half'\nfile = 'half.onnx'\nscale = 2\nhalo = 4\n",
        world.input, world.output
    );
    let config = config(&world, &text);
    let ask = |word: &str| {
        let words = [word.into(), "--config".into(), config.clone()];
        said(&mut onestep(world.root.path(), &words))
    };
    let well = ask("validate");
    assert!(well.code() == 0 && well.stdout.contains("model   other on cpu, strength 0"), "{well:?}");
    let looked = ask("doctor");
    assert!(looked.stdout.contains("any.onnx: f32 on cpu, golden tile differs by 0.0e0"), "{looked:?}");
    let picture = pattern(167, 151, 3);
    world.put("a.png", png(&picture));
    fs::write(world.root.path().join("in2/a.png"), png(&picture)).expect("writable");
    let words = ["run".as_ref(), "--config".as_ref(), config.as_os_str()];
    let child = start(&mut onestep(world.root.path(), &words));
    let results = [world.output.join("a.png"), world.root.path().join("out2/a.png")];
    until("both", || results.iter().all(|result| result.exists()));
    child.signal("TERM");
    assert_eq!(child.wait().code(), 0);
    for result in results {
        assert_eq!(open(&result), nearest(&picture, 2));
    }
    let refused = |text: &str, sentence: &str| {
        fs::write(&config, text).expect("writable");
        let said = ask("validate");
        assert!(said.code() == 2 && said.stderr.contains(sentence), "{said:?}");
    };
    let half = text.replace("model = 'other'", "model = 'half'").replace("'auto'", "'f32'");
    refused(&half, "it computes in f16 by itself: leave precision at auto");
    let inside = text.replace("file = 'any.onnx'", "file = 'in2/any.onnx'");
    refused(&inside, "the file of a model lies inside the input folder");
    refused(&text.replace("model = 'other'", "model = 'other'\nsource = 'photo'"), "cannot be told");
    let odd = text.replace("file = 'any.onnx'", "file = 'gone.onnx'");
    refused(&odd, "gone.onnx: cannot be read");
}
