//! The configuration: the shipped file is whole and means the defaults, and mistakes are told in full.

use crate::support::process::repository;
use contract::card::Task;
use onestep::config::{Config, DEFAULT_RESERVE_MB, Pipeline, default_memory_mb, read};
use onestep::plan::{Computing, Limits, Megapixels, Supervision};
use onestep::work::masking::{MaskFrom, Masking, SUFFIXES, White};
use onestep::work::precision::Wanted;
use onestep::work::terms::Range;
use std::fs;
use std::path::Path;
use std::time::Duration;

const LEAST: &str = "[[pipeline]]\ninput = 'in'\noutput = 'out'\n";

#[track_caller]
fn check(text: &str, problems: &[&str]) {
    assert_eq!(read(text, Path::new("/etc")).expect_err("refused"), problems);
}

fn shipped() -> String {
    fs::read_to_string(repository().join("config.toml")).expect("the shipped file")
}

#[test]
fn the_shipped_file_means_the_defaults() {
    let shipped = read(&shipped(), Path::new("/etc")).expect("whole");
    let least = read(LEAST, Path::new("/etc")).expect("whole");
    let only = &least.pipelines[0];
    let pipelines =
        vec![Pipeline { input: "/etc/inbox".into(), output: "/etc/outbox".into(), ..only.clone() }];
    assert_eq!(shipped, Config { pipelines, ..least.clone() });
    assert_eq!((only.input.as_path(), only.settle), (Path::new("/etc/in"), Duration::from_secs(2)));
    assert_eq!(
        (only.model.as_str(), least.computing.clone(), least.limits),
        ("sr-x4", Computing::default(), Limits { memory_mb: default_memory_mb(), ..Limits::default() })
    );
    assert_eq!((least.reserve_mb, least.supervision), (DEFAULT_RESERVE_MB, Supervision::default()));
    assert_eq!((only.strength, only.seed, least.library, least.model_folder), (None, None, None, None));
}

const KEYS: [&str; 68] = [
    "input",
    "output",
    "settle_ms",
    "name",
    "task",
    "mask",
    "mask_suffix",
    "mask_white",
    "mask_tolerance",
    "mask_grow_px",
    "mask_resize",
    "mask_wait_s",
    "model",
    "min_mpx",
    "max_mpx",
    "watch",
    "poll_s",
    "order",
    "priority",
    "status_file",
    "ignore",
    "file_name",
    "name_taken",
    "mode",
    "group",
    "originals",
    "originals_folder",
    "strength",
    "seed",
    "source",
    "uncertainty",
    "metadata",
    "digital_source_type",
    "format",
    "quality",
    "folder",
    "file",
    "scale",
    "mask_input",
    "range",
    "output_range",
    "channels",
    "layout",
    "mask_hole",
    "hole_fill",
    "multiple_of",
    "halo",
    "licence",
    "device",
    "precision",
    "threads",
    "window_px",
    "batch",
    "gpu_memory",
    "engines",
    "prove_s",
    "max_file_mb",
    "max_input_mpx",
    "max_output_mpx",
    "max_px_per_byte",
    "refuse_cmyk",
    "max_decode_s",
    "memory_mb",
    "reserve_mb",
    "state",
    "drain_s",
    "stall_s",
    "library",
];

/// Every key there is stands in the shipped file, in use or commented out, below a comment.
#[test]
fn every_key_is_in_the_shipped_file_and_explained() {
    let shipped = shipped();
    let lines: Vec<&str> = shipped.lines().collect();
    for key in KEYS {
        let at =
            lines.iter().position(|line| line.trim_start_matches("# ").starts_with(&format!("{key} = ")));
        let at = at.unwrap_or_else(|| panic!("{key} is not in config.toml"));
        assert!(lines[at - 1].starts_with("# "), "{key} has no comment above it");
    }
    let in_use = shipped.lines().map(|line| line.strip_prefix("# ").unwrap_or(line)).filter(|line| {
        line.starts_with('[') || line.split_once(" = ").is_some_and(|(key, _)| !key.contains([' ', '`']))
    });
    let all: String = in_use.flat_map(|line| [line, "\n"]).collect();
    let config = read(&all, Path::new("/etc")).expect("the commented keys are keys too");
    let only = &config.pipelines[0];
    assert_eq!((only.strength, only.seed, config.computing.threads), (Some(0.4), Some(1), 4));
    assert_eq!((only.name.as_str(), only.megapixels), ("photos", Megapixels { least: 0.01, most: 4.0 }));
    let suffixes = SUFFIXES.map(str::to_owned).to_vec();
    assert_eq!(only.masking, Some(Masking::new(MaskFrom::Beside(suffixes))), "its defaults are shown");
}

#[test]
fn a_task_has_its_own_keys_and_its_own_model() {
    let read = |keys: &str| read(&format!("{LEAST}{keys}"), Path::new("/etc"));
    let inpaint =
        |keys: &str| read(&format!("task = 'inpaint'\n{keys}")).expect("whole").pipelines[0].clone();
    assert_eq!((inpaint("").model.as_str(), inpaint("model = 'mine'").model.as_str()), ("inpaint", "mine"));
    let only = read("task = 'super-resolution'\n").expect("whole").pipelines[0].clone();
    assert_eq!((only.model.as_str(), only.masking), ("sr-x4", None));
    let from = |keys: &str| inpaint(keys).masking.expect("inpaint").from;
    assert_eq!(
        from("mask = './masks'"),
        MaskFrom::Folder("/etc/./masks".into(), SUFFIXES.map(str::to_owned).to_vec())
    );
    assert_eq!(from("mask = 'logo.png'"), MaskFrom::One("/etc/logo.png".into()));
    assert_eq!(from("mask = '#ff00FF'"), MaskFrom::Colour([255, 0, 255]));
    assert_eq!(from("mask_suffix = ['-m']"), MaskFrom::Beside(vec!["-m".into()]));
    let all = "mask_white = 'keep'\nmask_grow_px = 0\nmask_resize = 'nearest'\nmask_wait_s = 0";
    let masking = inpaint(all).masking.expect("inpaint");
    assert_eq!((masking.white, masking.grow_px), (White::Keep, 0));
    assert_eq!((masking.resized, masking.wait), (true, Duration::ZERO));
    let tolerance = |keys: &str| inpaint(keys).masking.expect("inpaint").tolerance;
    assert_eq!(tolerance("mask = '#102030'\nmask_tolerance = 9"), 9);
}

#[test]
fn masks_that_make_no_sense_are_told_at_once() {
    check(
        &format!("{LEAST}name = 'large'\nmask = 'alpha'\nmask_grow_px = 2\nmask_suffix = []\n"),
        &[
            "large: mask is for task = \"inpaint\" alone",
            "large: mask_suffix is for task = \"inpaint\" alone",
            "large: mask_grow_px is for task = \"inpaint\" alone",
        ],
    );
    check(
        &format!("{LEAST}task = 'inpaint'\nmask = 'alpha'\nmask_white = 'keep'\nmask_resize = 'nearest'\n"),
        &["pipeline 1: mask_white is about mask files, and here the picture's own pixels are the mask"],
    );
    check(
        &format!(
            "{LEAST}task = 'inpaint'\nmask = 'masks'\nmask_white = 'white'\nmask_tolerance = 256\n\
             mask_grow_px = 65\nmask_resize = 'cubic'\nmask_wait_s = 86401\nmask_suffix = ['']\n\
             {LEAST}task = 'enlarge'\n{LEAST}task = 'inpaint'\nmask_suffix = []\n"
        ),
        &[
            "pipeline 1: mask_suffix: an empty suffix would make every picture a mask",
            "pipeline 1: mask: \"masks\" is not one of sidecar, alpha, a colour such as #FF00FF, or a path \
             (with / or . in it)",
            "pipeline 1: mask_white: \"white\" is not one of repair, keep",
            "pipeline 1: mask_tolerance is 256, not 0 to 255",
            "pipeline 1: mask_grow_px is 65, not 0 to 64",
            "pipeline 1: mask_resize is \"cubic\", not one of refuse, nearest",
            "pipeline 1: mask_wait_s is 86401, not 0 to 86400",
            "pipeline 2: task is \"enlarge\", not one of super-resolution, inpaint",
            "pipeline 3: mask_suffix names none: no mask could be told from a picture",
        ],
    );
}

#[test]
fn what_is_declared_of_models_from_elsewhere_is_checked() {
    let table = |lines: &str| format!("{LEAST}[[model]]\n{lines}\n");
    let read_one = |lines: &str| read(&table(lines), Path::new("/etc")).expect("whole").elsewhere.remove(0);
    let terms = read_one("name = 'esrgan'\nfile = 'x4.onnx'\nscale = 4\nrange = '0..255'");
    assert_eq!((terms.range, terms.output_range), (Some(Range::BYTES), None));
    assert_eq!((terms.halo, terms.multiple), (32, 1));
    let terms = read_one("name = 'lama'\nfile = '/m.onnx'\ntask = 'inpaint'\nmask_hole = 0");
    assert_eq!((terms.task, terms.scale, terms.mask_hole), (Task::Inpainting, 1, 0.0));
    check(
        &table("task = 'super-resolution'\nmask_hole = 2\nhalo = 513\nrange = '1..0'\nchannels = 'xyz'"),
        &[
            "model 1: mask_hole is for task = \"inpaint\" alone",
            "model 1: scale is missing",
            "model 1: range: \"1..0\" is no range from black to white such as \"0..1\" or \"0..255\"",
            "model 1: name is missing",
            "model 1: channels is \"xyz\", not one of rgb, bgr, each",
            "model 1: file is missing",
            "model 1: mask_hole is 2, not 0 to 1",
            "model 1: halo is 513, not 0 to 512",
        ],
    );
    check(
        &table("name = 'a.onnx'\nfile = 'a'\nscale = 2"),
        &["model a.onnx: name is \"a.onnx\": a word is wanted, not a path"],
    );
    let same = "name = 'a'\nfile = 'a.onnx'\ntask = 'inpaint'\nscale = 2\nchannels = 'each'";
    check(
        &format!("{}[[model]]\nname = 'a'\nfile = 'b'\nscale = 2\nlayout = 'chw'", table(same)),
        &[
            "model a: scale is 2, but what is repaired stays as large as it is",
            "model a: channels is \"each\", which is for super-resolution alone",
            "model a: layout is \"chw\", not one of nchw, nhwc",
            "two [[model]] are called \"a\"",
        ],
    );
}

#[test]
fn an_unknown_key_or_a_wrong_kind_is_told_with_its_place() {
    let told = read(&format!("{LEAST}settle = 5\n"), Path::new("/etc")).expect_err("refused");
    let begin =
        "line 4, column 1: unknown field `settle`, expected one of `name`, `input`, `output`, `settle_ms`";
    assert!(told.len() == 1 && told[0].starts_with(begin), "{told:?}");
    check(
        &format!("{LEAST}[device]\nthreads = \"two\"\n"),
        &["line 5, column 11: invalid type: string \"two\", expected i64"],
    );
}

#[test]
fn all_problems_of_range_are_told_at_once() {
    check(
        "[[pipeline]]\nsettle_ms = 0\nstrength = 3.0\nseed = -1\n[device]\ndevice = \"gpu\"\n\
         threads = 0\n[limits]\nmax_file_mb = -5\n",
        &[
            "pipeline 1: input is missing",
            "pipeline 1: output is missing",
            "pipeline 1: settle_ms is 0, not 100 to 3600000",
            "pipeline 1: strength is 3, not 0 to 1.2",
            "pipeline 1: seed is -1, not 0 to 9223372036854775807",
            "device.device: a device is auto, cpu, cuda, cuda:N, tensorrt or tensorrt:N, where N is a \
             number or GPU-UUID as nvidia-smi -L tells them; several GPUs with commas between them",
            "device.threads is 0, not 1 to 1024",
            "limits.max_file_mb is -5, not 1 to 1000000",
        ],
    );
    check("", &["there is no [[pipeline]]: one names an input folder and an output folder"]);
    check(
        &format!("{LEAST}name = 'small'\nmin_mpx = 2.0\nmax_mpx = 1.0\n{LEAST}uncertainty = 1\n"),
        &["small: min_mpx 2 to max_mpx 1 takes no picture", "pipeline 2: uncertainty is 1, not 2 to 64"],
    );
}

#[test]
fn devices_are_a_word_or_a_list_and_shares_have_a_percent_sign() {
    let computing = |lines: &str| {
        let text = format!("{LEAST}[device]\n{lines}\n");
        read(&text, Path::new("/etc")).map(|config| config.computing)
    };
    let whole = "device = [\"cuda:0\", \"cuda:1\"]\nprecision = \"f16\"\nwindow_px = 256\nbatch = 4\n\
                 gpu_memory = \"50%\"\nengines = \"engines\"\nprove_s = 60";
    let told = computing(whole).expect("whole");
    assert_eq!(
        told,
        Computing {
            devices: "cuda:0,cuda:1".parse().expect("two"),
            precision: Wanted::F16,
            window_px: Some(256),
            batch: Some(4),
            gpu_memory_percent: 50,
            engines: Some("/etc/engines".into()),
            prove: Duration::from_secs(60),
            ..Computing::default()
        }
    );
    let wrong = "device = [\"cuda:0\", \"cpu\"]\nwindow_px = 8\nbatch = 0\ngpu_memory = \"0.8\"";
    assert_eq!(
        computing(wrong).expect_err("refused"),
        [
            "device.device: cuda:0 and cpu do not go together: GPUs of one kind do",
            "device.window_px is 8, not 64 to 2048",
            "device.batch is 0, not 1 to 256",
            "device.gpu_memory: \"0.8\" is not a share such as \"80%\", 1% to 100%",
        ]
    );
}

#[test]
fn paths_are_relative_to_the_file_and_names_are_not_paths() {
    let model = |name: &str| {
        read(&format!("{LEAST}model = \"{name}\"\n"), Path::new("/etc")).expect("whole").pipelines[0]
            .model
            .clone()
    };
    assert_eq!(model("sr-x2"), "sr-x2");
    assert_eq!(model("mine.onnx"), "/etc/mine.onnx");
    assert_eq!(model("/srv/mine.onnx"), "/srv/mine.onnx");
}
