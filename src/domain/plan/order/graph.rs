//! A graph of what waits for what: sorted, or its cycles.

use std::collections::{BTreeMap, VecDeque};

/// The most cycles that are found.
const MAX_CYCLES: usize = 3;

/// For each node, the nodes that it waits for.
pub(super) type Waits = Vec<Vec<usize>>;

/// The nodes, each after all that it waits for.
///
/// # Errors
/// The first few cycles. In each, a node waits for the next one, and the last for the first.
pub(super) fn sorted(waits: &Waits) -> Result<Vec<usize>, Vec<Vec<usize>>> {
    let mut left: Vec<usize> = waits.iter().map(Vec::len).collect();
    let mut waited_for: Waits = vec![Vec::new(); waits.len()];
    for (node, targets) in waits.iter().enumerate() {
        for &target in targets {
            waited_for[target].push(node);
        }
    }
    let mut sorted: Vec<usize> = (0..waits.len()).filter(|&node| left[node] == 0).collect();
    let mut at = 0;
    while let Some(&node) = sorted.get(at) {
        at += 1;
        for &waiting in &waited_for[node] {
            left[waiting] -= 1;
            if left[waiting] == 0 {
                sorted.push(waiting);
            }
        }
    }
    if sorted.len() == waits.len() {
        return Ok(sorted);
    }
    Err(cycles(waits, &left))
}

/// Cycles among the nodes with `left` targets: each of them waits for another of them.
fn cycles(waits: &Waits, left: &[usize]) -> Vec<Vec<usize>> {
    let mut cycles = Vec::new();
    // The walk in which a node was reached first.
    let mut walks: BTreeMap<usize, usize> = BTreeMap::new();
    for start in (0..waits.len()).filter(|&node| left[node] > 0) {
        let mut node = start;
        while !walks.contains_key(&node) {
            walks.insert(node, start);
            let next = waits[node].iter().copied().find(|&target| left[target] > 0);
            let Some(next) = next else { break };
            node = next;
        }
        // A walk that ends in an earlier one ends in the cycle of that one.
        if walks.get(&node) == Some(&start) {
            let cycle = shortest(waits, left, node);
            if cycle.is_empty() {
                continue;
            }
            cycles.push(cycle);
            if cycles.len() == MAX_CYCLES {
                break;
            }
        }
    }
    cycles
}

/// The shortest cycle through a node, beginning with its smallest node.
fn shortest(waits: &Waits, left: &[usize], through: usize) -> Vec<usize> {
    let mut came_from: BTreeMap<usize, usize> = BTreeMap::new();
    let mut queue = VecDeque::from([through]);
    while let Some(node) = queue.pop_front() {
        for &target in waits[node].iter().filter(|&&target| left[target] > 0) {
            if target == through {
                let mut cycle = vec![node];
                let mut back = node;
                while back != through {
                    back = came_from[&back];
                    cycle.push(back);
                }
                cycle.reverse();
                let smallest = cycle.iter().enumerate().min_by_key(|(_, node)| **node);
                let first = smallest.map_or(0, |(at, _)| at);
                cycle.rotate_left(first);
                return cycle;
            }
            if target != node && !came_from.contains_key(&target) {
                came_from.insert(target, node);
                queue.push_back(target);
            }
        }
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_graph_is_sorted_or_its_cycles_are_found() {
        let check = |waits: &[&[usize]], expected: Result<&[usize], &[&[usize]]>| {
            let waits: Waits = waits.iter().map(|targets| targets.to_vec()).collect();
            let expected = expected
                .map(<[usize]>::to_vec)
                .map_err(|cycles| cycles.iter().map(|cycle| cycle.to_vec()).collect::<Vec<_>>());
            assert_eq!(sorted(&waits), expected, "{waits:?}");
        };
        check(&[], Ok(&[]));
        check(&[&[1], &[2], &[]], Ok(&[2, 1, 0]));
        check(&[&[1, 1], &[]], Ok(&[1, 0]));
        check(&[&[0]], Err(&[&[0]]));
        check(&[&[1], &[0]], Err(&[&[0, 1]]));
        // What only waits for a cycle is not a part of it.
        check(&[&[1], &[2], &[3], &[1], &[]], Err(&[&[1, 2, 3]]));
        check(&[&[1], &[0], &[3], &[2]], Err(&[&[0, 1], &[2, 3]]));
        // The shorter way round.
        check(&[&[1, 2], &[2], &[0]], Err(&[&[0, 2]]));
    }

    #[test]
    fn a_long_chain_is_sorted_without_recursion() {
        let count = 100_000;
        let waits: Waits =
            (0..count).map(|node| if node + 1 < count { vec![node + 1] } else { vec![] }).collect();
        assert_eq!(sorted(&waits).unwrap()[0], count - 1);
        let round: Waits = (0..count).map(|node| vec![(node + 1) % count]).collect();
        assert_eq!(sorted(&round).unwrap_err()[0].len(), count);
    }
}
