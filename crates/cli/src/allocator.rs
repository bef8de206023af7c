//! How the allocator of the C library is set up for trainings.
//!
//! A step of a training allocates and frees the same large arrays again and again. By default glibc gives each of them back to the
//! system, and the next step's pages are new ones: made, filled with zeros and mapped one by one, for 10 to 25 percent of a step's time.
//! Kept, and in large pages where the system has them on request, they cost next to nothing, and the peak of memory is the same.

/// Where glibc reads its settings, before `main`.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const VARIABLE: &str = "GLIBC_TUNABLES";

/// Arrays of any size come from memory that is kept, which is asked for in large pages.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const SETTINGS: &str =
    "glibc.malloc.mmap_threshold=1073741824:glibc.malloc.trim_threshold=4294967296:glibc.malloc.hugetlb=1";

/// Begins the program anew, in the same process and with the same arguments, with an allocator that keeps what is freed. Nothing
/// happens where the environment has settings of its own, or where the system does not allow it.
pub fn keep_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        use std::os::unix::process::CommandExt;
        if std::env::var_os(VARIABLE).is_some() {
            return;
        }
        let mut arguments = std::env::args_os();
        // By its own path: the system would call the process `exe` otherwise.
        let Ok(program) = std::env::current_exe() else { return };
        let mut again = std::process::Command::new(program);
        if let Some(name) = arguments.next() {
            again.arg0(name);
        }
        // It comes back only where it could not begin: then all goes on as it is, a little slower.
        let _ = again.args(arguments).env(VARIABLE, SETTINGS).exec();
    }
}
