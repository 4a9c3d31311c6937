//! Libraries of the system, by name: whether the loader finds them, and which file it takes. The only file
//! that names `libloading`. Calls nothing in them but what tells ONNX Runtime's version.

use libloading::os::unix::{Library, RTLD_LAZY, RTLD_LOCAL};
use std::ffi::{CStr, c_char, c_void};
use std::path::{Path, PathBuf};

/// Loads a library by its name, as ONNX Runtime would, and gives the file that it is in. It is let go again.
///
/// # Errors
/// The loader's words.
pub fn find(name: &str) -> Result<PathBuf, String> {
    #[expect(
        unsafe_code,
        reason = "loading runs the library's own start; these are NVIDIA's, which ONNX Runtime loads likewise"
    )]
    let library = unsafe { Library::open(Some(name), RTLD_LAZY | RTLD_LOCAL) };
    let library = library.map_err(|error| whole(&error))?;
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let path = mapped(&maps, name).unwrap_or_else(|| PathBuf::from(name));
    drop(library);
    Ok(path)
}

/// The first lines of ONNX Runtime's C interface, which never change (onnxruntime_c_api.h).
#[repr(C)]
struct ApiBase {
    get_api: *const c_void,
    version: extern "C" fn() -> *const c_char,
}

/// The version of an ONNX Runtime that is loaded already; its own words about its build do not tell.
pub fn runtime_version(path: &Path) -> Option<String> {
    #[expect(
        unsafe_code,
        reason = "the library was loaded from this path before; the function takes nothing and gives a \
                  constant, whose version is a text that lives as long as the library, which stays loaded"
    )]
    unsafe {
        let library = Library::open(Some(path), RTLD_LAZY | RTLD_LOCAL).ok()?;
        let base = library.get::<extern "C" fn() -> *const ApiBase>(b"OrtGetApiBase").ok()?();
        let text = (base.as_ref()?.version)();
        (!text.is_null()).then(|| CStr::from_ptr(text).to_string_lossy().into_owned())
    }
}

/// With what the loader said, which the error's own words leave to its source.
fn whole(error: &libloading::Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}

/// The file that is mapped under this name, or under it with more of a version.
fn mapped(maps: &str, name: &str) -> Option<PathBuf> {
    let paths = maps.lines().filter_map(|line| line.find('/').map(|at| Path::new(&line[at..])));
    let is_it = |path: &&Path| {
        path.file_name().and_then(|file| file.to_str()).is_some_and(|file| file.starts_with(name))
    };
    paths.into_iter().find(is_it).map(Path::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_that_is_there_is_found_with_its_file_and_one_that_is_not_is_told() {
        let path = find("libm.so.6").expect("every Linux has it");
        assert!(path.is_absolute() && path.is_file(), "{}", path.display());
        let error = find("libnosuch.so.7").expect_err("nobody has it");
        assert!(error.contains("libnosuch.so.7: cannot open shared object file"), "{error}");
    }

    #[test]
    fn a_file_with_more_of_a_version_is_the_one() {
        let maps = "7f0 r--p 0 08:01 1 /usr/lib/libnvinfer_plugin.so.10.9.0\n\
                    7f1 r--p 0 08:01 2 /usr/lib/libnvinfer.so.10.9.0\n";
        assert_eq!(mapped(maps, "libnvinfer.so.10"), Some("/usr/lib/libnvinfer.so.10.9.0".into()));
        assert_eq!(mapped(maps, "libcudart.so.13"), None);
    }
}
