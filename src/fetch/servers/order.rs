//! Who is tried first: priority and weight (RFC 2782).

use super::Target;

/// One SRV record that leads somewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Offer {
    /// Less is earlier.
    pub priority: u16,
    /// How often it comes first among those of its priority, relative to the weights of the others.
    pub weight: u16,
    pub target: Target,
}

/// The first of them, each once. Within a priority each next one is drawn by weight; those with weight 0 stand in front, so that they are
/// drawn only with the lowest number. The length of a DNS message bounds how many there are.
pub(super) fn first(mut offers: Vec<Offer>, targets_max: usize, mut random: impl FnMut() -> u64) -> Vec<Target> {
    offers.sort_by_key(|offer| (offer.priority, offer.weight != 0));
    let mut targets: Vec<Target> = Vec::new();
    while let Some(next) = offers.first()
        && targets.len() < targets_max
    {
        let priority = next.priority;
        let rivals = offers.partition_point(|offer| offer.priority == priority);
        let sum: u64 = offers.iter().take(rivals).map(|offer| u64::from(offer.weight)).sum();
        let drawn = random() % (sum + 1);
        let mut running = 0;
        let chosen = offers.iter().take(rivals).position(|offer| {
            running += u64::from(offer.weight);
            running >= drawn
        });
        let target = offers.remove(chosen.unwrap_or(0)).target;
        // A record that is there twice is not tried twice.
        if !targets.contains(&target) {
            targets.push(target);
        }
    }
    targets
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;

    use super::*;

    fn offer(priority: u16, weight: u16, port: u16) -> Offer {
        Offer { priority, weight, target: Target { port, ..Target::plain("x.example".to_owned()) } }
    }

    fn ports(offers: &[Offer], drawn: &[u64]) -> Vec<u16> {
        let mut drawn = drawn.iter().copied();
        first(offers.to_vec(), 8, || drawn.next().unwrap_or(0)).iter().map(|target| target.port).collect()
    }

    #[test]
    fn rfc2782_the_running_sum_of_weights_decides() {
        let offers = [offer(10, 60, 1), offer(10, 0, 2), offer(10, 40, 3), offer(5, 0, 4)];
        // The first number is for the priority 5; then of 0..=100: 0 is the record without weight, up to 60 the first, above the third.
        assert_eq!(ports(&offers, &[7, 0, 60, 0]), [4, 2, 1, 3]);
        assert_eq!(ports(&offers, &[7, 1, 1, 0]), [4, 1, 3, 2]);
        assert_eq!(ports(&offers, &[7, 61, 60, 0]), [4, 3, 1, 2]);
        assert_eq!(ports(&offers, &[7, 100, 0, 60]), [4, 3, 2, 1]);
        assert_eq!(ports(&[], &[]), [0u16; 0]);
    }

    #[test]
    fn rfc2782_a_heavier_one_comes_first_as_often_as_its_weight_says() {
        let offers = [offer(1, 300, 1), offer(1, 100, 2)];
        let firsts = (0..401).filter(|drawn| ports(&offers, &[*drawn]).first() == Some(&1)).count();
        assert_eq!(firsts, 301, "of the 401 numbers that can be drawn");
    }

    #[test]
    fn the_same_record_twice_is_one_target() {
        assert_eq!(ports(&[offer(1, 1, 1), offer(1, 1, 1), offer(2, 1, 1), offer(3, 1, 2)], &[]), [1, 2]);
    }

    proptest::proptest! {
        #[test]
        fn a_lower_priority_is_always_earlier_and_nobody_is_lost_or_tried_twice(
            kinds in vec((0u16..4, proptest::prelude::any::<u16>()), 0..120),
            drawn in vec(proptest::prelude::any::<u64>(), 120),
            targets_max in 1usize..130,
        ) {
            let offers: Vec<Offer> = (1u16..).zip(&kinds).map(|(port, (priority, weight))| offer(*priority, *weight, port)).collect();
            let mut drawn = drawn.into_iter();
            let targets = first(offers.clone(), targets_max, || drawn.next().unwrap_or(0));
            assert_eq!(targets.len(), offers.len().min(targets_max));
            let priority = |target: &Target| offers.iter().find(|offer| offer.target == *target).expect("one of them").priority;
            let priorities: Vec<u16> = targets.iter().map(priority).collect();
            assert!(priorities.is_sorted());
            let mut all: Vec<u16> = offers.iter().map(|offer| offer.priority).collect();
            all.sort_unstable();
            assert_eq!(priorities, all[..targets.len()], "the first of all");
            let mut ports: Vec<u16> = targets.iter().map(|target| target.port).collect();
            ports.sort_unstable();
            ports.dedup();
            assert_eq!(ports.len(), targets.len());
        }
    }
}
