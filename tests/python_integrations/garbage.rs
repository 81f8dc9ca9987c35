//! What the program has no more goes, also where it can be reached from itself through what is traced.

use super::websockets::talk;
use super::*;
use std::time::Instant;

#[test]
fn what_knows_its_own_request_goes_with_it() {
    let mut sandbox = sandbox();
    let (server, port) = serve(&mut sandbox, &["-m", "uvicorn", "--port", "{port}", "garbage:app"]);
    for _ in 0..100 {
        assert_eq!(ask(port, "/knows", "").0, 200);
        assert_eq!(talk(port, "/knows", ""), (101, b"hi".to_vec()));
    }
    for _ in 0..5 {
        assert_eq!(ask(port, "/abandons", "").0, 200);
    }
    // The last one may be at its end still.
    let begun = Instant::now();
    while ask(port, "/alive", "").1 != "[205,0]" && begun.elapsed() < PATIENCE {}
    assert_eq!(ask(port, "/alive", "").1, "[205,0]");
    drop(server);
    let spans = sandbox.spans();
    assert_eq!(spans.iter().filter(|span| span.name == "GET /knows").count(), 200);
}
