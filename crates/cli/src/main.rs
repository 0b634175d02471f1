use std::process::ExitCode;

fn main() -> ExitCode {
    strandline_cli::run()
}
