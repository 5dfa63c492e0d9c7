//! Whether one order explains what several threads saw of one value.
//!
//! Owns the judgement; knows nothing of data sources. Every value is written once, so the question has a quick and exact
//! answer (Gibbons and Korach, "Testing shared memories", 1997).

use std::collections::HashMap;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    Write,
    Read,
}

/// A call: when it began and ended on one clock that all threads share, and what it wrote or gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) begin: u64,
    pub(crate) end: u64,
    pub(crate) act: Act,
    pub(crate) value: i64,
}

/// A value's write and all its reads.
struct Zone {
    written: Option<(u64, u64)>,
    first_end: u64,
    last_begin: u64,
}

/// Whether the calls are those of an atomic register that held `first` before all of them (tick 0): each seems to happen at one
/// moment between its begin and its end.
///
/// # Errors
/// Why no order explains them.
pub(crate) fn explained(first: i64, spans: &[Span]) -> Result<(), String> {
    let mut zones = HashMap::from([(first, Zone { written: Some((0, 0)), first_end: 0, last_begin: 0 })]);
    for span in spans {
        let empty = Zone { written: None, first_end: u64::MAX, last_begin: 0 };
        let zone = zones.entry(span.value).or_insert(empty);
        if span.act == Act::Write && zone.written.replace((span.begin, span.end)).is_some() {
            return Err(format!("{} was written twice", span.value));
        }
        zone.first_end = zone.first_end.min(span.end);
        zone.last_begin = zone.last_begin.max(span.begin);
    }
    let mut there = Vec::new();
    let mut brief = Vec::new();
    for (value, zone) in &zones {
        let Some((begin, _)) = zone.written else { return Err(format!("{value} was read and never written")) };
        if zone.first_end < begin {
            return Err(format!("{value} was read before its write began"));
        }
        // From its first end to its last begin the value must have been there; where that is no time at all, at some moment
        // between the two.
        if zone.first_end < zone.last_begin {
            there.push((zone.first_end, zone.last_begin, *value));
        } else {
            brief.push((zone.last_begin, zone.first_end, *value));
        }
    }
    there.sort_unstable();
    for pair in there.windows(2) {
        if pair[1].0 < pair[0].1 {
            return Err(format!("{} and {} were there in turns", pair[0].2, pair[1].2));
        }
    }
    for (from, to, value) in brief {
        let before = there.partition_point(|zone| zone.0 < from);
        if before > 0 && to < there[before - 1].1 {
            return Err(format!("{value} was written while {} was there", there[before - 1].2));
        }
    }
    Ok(())
}

/// Whether values that were seen one after another, say by a server, may have been written in that order.
///
/// # Errors
/// Which one came after another although its write had ended before the other's began.
pub(crate) fn in_order(first: i64, seen: &[i64], spans: &[Span]) -> Result<(), String> {
    let mut writes: HashMap<i64, (u64, u64)> =
        spans.iter().filter(|span| span.act == Act::Write).map(|span| (span.value, (span.begin, span.end))).collect();
    writes.insert(first, (0, 0));
    let mut latest = (0, first);
    for value in seen {
        let Some((begin, end)) = writes.get(value) else { return Err(format!("{value} was never written")) };
        if *end < latest.0 {
            return Err(format!("{value} came after {}", latest.1));
        }
        latest = latest.max((*begin, *value));
    }
    Ok(())
}

fn write(begin: u64, end: u64, value: i64) -> Span {
    Span { begin, end, act: Act::Write, value }
}

fn read(begin: u64, end: u64, value: i64) -> Span {
    Span { begin, end, act: Act::Read, value }
}

#[test]
fn histories_of_a_register_pass() {
    let histories: [&[Span]; 7] = [
        &[],
        &[read(1, 2, 0), write(3, 4, 7), read(5, 6, 7)],
        // A read beside a write sees either.
        &[write(1, 4, 7), read(2, 3, 0), read(5, 6, 7)],
        &[write(1, 4, 7), read(2, 3, 7), read(5, 6, 7)],
        // Writes beside each other, in either order.
        &[write(1, 4, 7), write(2, 3, 8), read(5, 6, 7)],
        &[write(1, 4, 7), write(2, 3, 8), read(5, 6, 8)],
        // A write that nobody saw.
        &[write(1, 2, 7), read(3, 6, 7), write(4, 5, 8), write(7, 8, 9), read(9, 10, 9)],
    ];
    for history in histories {
        explained(0, history).unwrap();
    }
}

#[test]
fn other_histories_fail() {
    let histories: [&[Span]; 8] = [
        // Lost, invented, read too early.
        &[write(1, 2, 7), read(3, 4, 0)],
        &[read(1, 2, 9)],
        &[read(1, 2, 7), write(3, 4, 7)],
        // Overwritten for certain.
        &[write(1, 2, 7), write(3, 4, 8), read(5, 6, 7)],
        // Back again, seen by two threads or one.
        &[write(1, 9, 7), read(2, 3, 7), read(4, 5, 0)],
        &[write(1, 9, 7), write(2, 10, 8), read(3, 4, 7), read(5, 6, 8), read(7, 8, 7)],
        // Two threads disagree about the order.
        &[write(1, 2, 7), read(3, 4, 7), write(5, 6, 8), read(7, 8, 7), read(9, 10, 8)],
        &[write(1, 2, 7), write(3, 4, 7)],
    ];
    for history in histories {
        assert!(explained(0, history).is_err(), "{history:?}");
    }
}

#[test]
fn what_a_server_sees_in_turn() {
    let spans = [write(1, 2, 7), write(3, 6, 8), write(4, 5, 9), write(7, 8, 10)];
    for seen in [&[7, 8, 9, 10][..], &[7, 9, 8, 10], &[0, 0, 8, 8], &[10], &[]] {
        in_order(0, seen, &spans).unwrap();
    }
    for seen in [&[8, 7][..], &[9, 7], &[10, 8], &[7, 0], &[11]] {
        assert!(in_order(0, seen, &spans).is_err(), "{seen:?}");
    }
}

/// Against every order there is, for many small histories.
#[test]
fn the_quick_answer_is_the_right_one() {
    fn some_order(now: i64, left: &[Span]) -> bool {
        left.is_empty()
            || (0..left.len()).any(|next| {
                let span = left[next];
                let may_be_next = left.iter().all(|other| other.end >= span.begin);
                let fits = span.act == Act::Write || span.value == now;
                let rest: Vec<Span> = left.iter().copied().filter(|other| *other != span).collect();
                may_be_next && fits && some_order(span.value, &rest)
            })
    }
    let mut dice = crate::Dice(1);
    let (mut passed, mut failed) = (0, 0);
    for _ in 0..4000 {
        let calls = 2 + dice.below(5);
        let mut ticks: Vec<u64> = (1..=2 * calls).collect();
        for place in (1..ticks.len()).rev() {
            let other = usize::try_from(dice.below(place as u64 + 1)).unwrap();
            ticks.swap(place, other);
        }
        let mut written = 0;
        let spans: Vec<Span> = ticks
            .chunks(2)
            .map(|pair| {
                let (begin, end) = (pair[0].min(pair[1]), pair[0].max(pair[1]));
                if dice.below(2) == 0 {
                    written += 1;
                    write(begin, end, written)
                } else {
                    read(begin, end, i64::try_from(dice.below(4)).unwrap())
                }
            })
            .collect();
        let right = some_order(0, &spans);
        assert_eq!(explained(0, &spans).is_ok(), right, "{spans:?}");
        *(if right { &mut passed } else { &mut failed }) += 1;
    }
    assert!(passed > 500 && failed > 500, "{passed} {failed}");
}
