use std::io::{Write, stderr};
use std::process::ExitCode;

fn main() -> ExitCode {
    match ddgan::cli::run() {
        Ok(code) => code,
        Err(error) => {
            let causes = error.chain().skip(1).map(|cause| format!("caused by: {cause}\n"));
            // Where nobody reads, the code is all there is to say.
            let _ = write!(stderr(), "error: {error}\n{}", causes.collect::<String>());
            ExitCode::FAILURE
        }
    }
}
