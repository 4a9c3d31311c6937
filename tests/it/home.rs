//! Nothing is left behind where nobody asked for it: ONNX Runtime's uploader, above all, never starts.

use crate::support::pictures::{pattern, png};
use crate::support::process::{onestep, said};
use crate::support::{World, files_below, onnx};
use std::ffi::OsStr;
use std::fs;

#[test]
fn an_empty_home_stays_empty() {
    let world = World::new();
    world.put("a.png", png(&pattern(8, 8, 3)));
    let home = world.root.path().join("home");
    fs::create_dir(&home).expect("writable");
    let model = onnx::tiny(&world.root.path().join("models"));
    let words: [&OsStr; 7] = [
        "once".as_ref(),
        world.input.as_ref(),
        "-o".as_ref(),
        world.output.as_ref(),
        "--model".as_ref(),
        model.as_ref(),
        "--device=cpu".as_ref(),
    ];
    let state = world.root.path().join("elsewhere");
    let said = said(onestep(&home, &words).current_dir(&home).env("XDG_STATE_HOME", state));
    assert_eq!(said.code(), 0, "{said:?}");
    assert_eq!(fs::read_dir(&home).expect("there").count(), 0, "{:?}", files_below(&home));
}
