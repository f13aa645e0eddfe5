//! What counts as a pass, and what the table says.

use super::*;

#[test]
fn the_client_part_of_a_listing_is_read_and_nothing_else() {
    let listing = "Required\n\nServer scenarios (x):\n  - ping\n\nClient scenarios (y):\n  - a\n  - auth/b\n\nOther:\n  - c\n";
    assert_eq!(client_scenarios(listing), ["a", "auth/b"]);
}

fn line(text: &str) -> Outcome {
    outcome(text).expect("six columns")
}

fn judged(column: &'static str, scenario: &str, text: &str) -> Result<(), String> {
    let mut table = Table::default();
    table.add(column, scenario.to_owned(), line(text));
    table.judge()
}

#[test]
fn an_unexpected_miss_and_a_stranger_each_fail_the_run() {
    assert_eq!(judged("25", "tools_call", "P\t\t5\t\t0\t\n"), Ok(()));
    for (text, fault) in [
        ("W\tclientInfo\t5\t\t0\t\n", "tools_call (26M): W clientInfo"),
        ("P\t\t5\tPOST /mcp by node driver.mjs\t0\t\n", "connected by others: POST /mcp by node driver.mjs"),
        ("P\t\t0\t\t0\t\n", "nothing connected"),
        ("P\t\t5\t\t0\terror: hallpass ended\n", "not for the right reason"),
    ] {
        let said = judged("26M", "tools_call", text).unwrap_err();
        assert!(said.contains(fault), "{said}");
    }
}

#[test]
fn a_refusal_passes_for_its_own_reason_alone() {
    let said = |words: &str| judged("26M", "auth/iss-wrong-issuer", &format!("P\t\t5\t\t0\t{words}\n"));
    assert_eq!(said("the answer came from another authorization server than x"), Ok(()));
    assert!(said("").is_err());
    assert!(said("error: spawn ENOENT").is_err());
}

#[test]
fn the_table_shows_each_column_and_the_reason() {
    let mut table = Table::default();
    table.add("25", "http-custom-headers".to_owned(), line("F\tx|y\t5\t\t1\t\n"));
    table.add("26M", "http-custom-headers".to_owned(), line("P\t\t5\t\t0\t\n"));
    table.add("26M", "request-metadata".to_owned(), line("P\t\t2\t\t0\t\n"));
    let text = table.text();
    assert!(text.contains("| http-custom-headers | F | P | x\\|y |"), "{text}");
    assert!(text.contains("| request-metadata |  | P |  |"));
    assert!(text.contains("Clean passes: 0/1 in 25, 2/2 in 26M."));
    assert!(text.contains("(12 requests in this run, 1 of a process"));
}
