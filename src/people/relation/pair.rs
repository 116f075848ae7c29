//! The rules of a pair: what a step of one user makes of both sides.

use crate::base::error::{Error, Kind, Result};
use crate::base::named::named;

named! {
    /// A friendship, or the way to it, as one side has it.
    #[derive(Hash)]
    pub enum Friendship ("friendship") {
        /// The user has asked.
        RequestSent = "request_sent",
        /// The other one has asked.
        RequestReceived = "request_received",
        Friend = "friend",
        /// The other one has ended it, and the user does not know yet.
        Unfriended = "unfriended",
    }
}

named! {
    /// What the other user is, as the user sees it.
    pub enum RelationKind ("kind of relation") {
        Friend = "friend",
        RequestSent = "request_sent",
        RequestReceived = "request_received",
        Follow = "follow",
        Follower = "follower",
        Block = "block",
    }
}

/// One side of a pair.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Side {
    pub friend: Option<Friendship>,
    pub follows: bool,
    pub followed: bool,
    pub blocks: bool,
    pub blocked: bool,
    /// What the other one wrote with the request.
    pub message: Option<String>,
}

/// Both sides: the user who takes a step, and the other one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Pair {
    pub mine: Side,
    pub theirs: Side,
}

/// What a user does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Asks for friendship, with a message. A user who was asked becomes a friend.
    Ask(Option<String>),
    /// Ends a friendship, withdraws a request or declines one.
    EndFriend,
    Accept,
    Decline,
    Follow,
    EndFollow,
    Block,
    EndBlock,
    /// Learns that the other one has ended the friendship.
    FindOut,
}

/// How friendships begin and end.
#[derive(Debug, Clone, Copy)]
pub struct FriendRules {
    /// Whether a request needs no answer.
    pub at_once: bool,
    /// Whether the other side sees a friend until its next message.
    pub one_side: bool,
}

impl Side {
    /// What the user sees of the other one.
    pub fn kinds(&self) -> Vec<RelationKind> {
        let friend = self.friend.map(|friend| match friend {
            Friendship::Friend | Friendship::Unfriended => RelationKind::Friend,
            Friendship::RequestSent => RelationKind::RequestSent,
            Friendship::RequestReceived => RelationKind::RequestReceived,
        });
        let of = |is: bool, kind| is.then_some(kind);
        let follow = of(self.follows, RelationKind::Follow);
        let (follower, block) =
            (of(self.followed, RelationKind::Follower), of(self.blocks, RelationKind::Block));
        [friend, follow, follower, block].into_iter().flatten().collect()
    }

    /// Whether the user has made something of it: it counts for the limit. Blocks are counted apart.
    pub fn is_own(&self) -> bool {
        self.follows || self.friend.is_some_and(|f| f != Friendship::RequestReceived)
    }

    pub fn is_asked(&self) -> bool {
        self.friend == Some(Friendship::RequestReceived)
    }

    /// What sends of the user must know, as their row in the direct channel has it.
    pub fn talk(&self) -> Option<&'static str> {
        match self.friend {
            _ if self.blocked => Some("blocked"),
            Some(friend @ (Friendship::Friend | Friendship::Unfriended)) => Some(friend.as_str()),
            _ => None,
        }
    }
}

impl Step {
    /// Whether the other side learns of it.
    pub fn is_told(&self) -> bool {
        !matches!(self, Self::Block | Self::EndBlock | Self::FindOut)
    }

    /// Whether it only ends something. It is always allowed, also for a user who has left.
    pub fn is_end(&self) -> bool {
        matches!(self, Self::EndFriend | Self::Decline | Self::EndFollow | Self::EndBlock | Self::FindOut)
    }
}

impl Pair {
    pub fn is_empty(&self) -> bool {
        self.mine == Side::default() && self.theirs == Side::default()
    }

    /// The pair after a step. A step that is taken already changes nothing.
    pub fn after(mut self, step: &Step, rules: FriendRules) -> Result<Self> {
        match step {
            Step::Ask(message) => {
                self.must_reach()?;
                self.ask(message.clone(), rules);
            }
            Step::EndFriend => self.end_friend(rules),
            Step::Accept => match self.mine.friend {
                Some(Friendship::RequestReceived) => self.befriend(),
                Some(Friendship::Friend) => {}
                _ => return Err(no_request()),
            },
            Step::Decline if self.mine.is_asked() => self.end_friend(rules),
            Step::Decline => return Err(no_request()),
            Step::Follow => {
                self.must_reach()?;
                (self.mine.follows, self.theirs.followed) = (true, true);
            }
            Step::EndFollow => (self.mine.follows, self.theirs.followed) = (false, false),
            Step::Block => self.block(),
            Step::EndBlock => (self.mine.blocks, self.theirs.blocked) = (false, false),
            Step::FindOut if self.mine.friend == Some(Friendship::Unfriended) => self.mine.friend = None,
            Step::FindOut => {}
        }
        Ok(self)
    }

    fn must_reach(&self) -> Result<()> {
        if self.mine.blocks {
            let detail = "you block this user: end the block first, with DELETE …?kind=block";
            return Err(Error::new(Kind::Conflict, detail));
        }
        if self.theirs.blocks { Err(Error::new(Kind::Blocked, "")) } else { Ok(()) }
    }

    fn ask(&mut self, message: Option<String>, rules: FriendRules) {
        match (self.mine.friend, self.theirs.friend) {
            (Some(Friendship::Friend), _) => {}
            // The newest words count.
            (Some(Friendship::RequestSent), _) => self.theirs.message = message,
            // Both have asked, or the other side never saw the friendship end.
            (Some(Friendship::RequestReceived), _) | (_, Some(Friendship::Unfriended)) => self.befriend(),
            _ if rules.at_once => self.befriend(),
            _ => {
                self.mine.friend = Some(Friendship::RequestSent);
                self.theirs.friend = Some(Friendship::RequestReceived);
                self.theirs.message = message;
            }
        }
    }

    fn befriend(&mut self) {
        for side in [&mut self.mine, &mut self.theirs] {
            (side.friend, side.message) = (Some(Friendship::Friend), None);
        }
    }

    fn end_friend(&mut self, rules: FriendRules) {
        self.theirs.friend = match (self.mine.friend, self.theirs.friend) {
            (Some(Friendship::Friend), _) if rules.one_side => Some(Friendship::Unfriended),
            (None, theirs @ Some(Friendship::Unfriended)) => theirs,
            _ => None,
        };
        self.mine.friend = None;
        (self.mine.message, self.theirs.message) = (None, None);
    }

    /// A block ends all else on both sides. The other side sees that it is gone, and not why.
    fn block(&mut self) {
        let blocked = Side { blocked: self.mine.blocked, ..Side::default() };
        let blocking = Side { blocks: self.theirs.blocks, ..Side::default() };
        self.mine = Side { blocks: true, ..blocked };
        self.theirs = Side { blocked: true, ..blocking };
    }
}

fn no_request() -> Error {
    Error::not_found("no friend request of this user waits: it was withdrawn, answered or never made")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const STEPS: [Step; 8] = [
        Step::Ask(None),
        Step::EndFriend,
        Step::Accept,
        Step::Decline,
        Step::Follow,
        Step::EndFollow,
        Step::Block,
        Step::EndBlock,
    ];

    fn turned(pair: Pair) -> Pair {
        Pair { mine: pair.theirs, theirs: pair.mine }
    }

    /// Whether the sides say the same.
    fn is_paired(Pair { mine, theirs }: &Pair) -> bool {
        use Friendship::{Friend, RequestReceived, RequestSent, Unfriended};
        let friends = matches!(
            (mine.friend, theirs.friend),
            (None, None)
                | (Some(Friend), Some(Friend))
                | (Some(RequestSent), Some(RequestReceived))
                | (Some(RequestReceived), Some(RequestSent))
                | (Some(Unfriended), None)
                | (None, Some(Unfriended))
        );
        let is_alone = |side: &Side| {
            !(side.blocks || side.blocked) || side.friend.is_none() && !side.follows && !side.followed
        };
        friends
            && (mine.follows, mine.followed) == (theirs.followed, theirs.follows)
            && (mine.blocks, mine.blocked) == (theirs.blocked, theirs.blocks)
            && is_alone(mine)
            && is_alone(theirs)
    }

    #[test]
    fn the_sides_agree_after_all_steps_of_both_in_every_order() {
        for (at_once, one_side) in [(false, false), (false, true), (true, false), (true, true)] {
            let rules = FriendRules { at_once, one_side };
            let (mut seen, mut next) = (HashSet::new(), vec![Pair::default()]);
            while let Some(pair) = next.pop() {
                assert!(is_paired(&pair), "{pair:?}");
                if !seen.insert(pair.clone()) {
                    continue;
                }
                for step in STEPS.iter().chain([&Step::FindOut]) {
                    next.extend(pair.clone().after(step, rules));
                    next.extend(turned(pair.clone()).after(step, rules).map(turned));
                }
            }
            assert!(seen.len() > 10, "{} states", seen.len());
        }
    }

    #[test]
    fn a_step_that_is_taken_already_changes_nothing() {
        let rules = FriendRules { at_once: false, one_side: true };
        for first in &STEPS {
            let asked = turned(Pair::default().after(&Step::Ask(None), rules).unwrap());
            let Ok(once) = asked.after(first, rules) else { continue };
            if let Ok(twice) = once.clone().after(first, rules) {
                assert_eq!(twice, once, "{first:?}");
            }
        }
    }

    #[test]
    fn a_block_is_not_shown_to_the_blocked_side() {
        let rules = FriendRules { at_once: true, one_side: false };
        let friends = Pair::default().after(&Step::Ask(None), rules).unwrap();
        let blocked = friends.after(&Step::Block, rules).unwrap();
        assert_eq!(blocked.mine.kinds(), [RelationKind::Block]);
        assert_eq!(blocked.theirs.kinds(), []);
        assert_eq!((blocked.mine.talk(), blocked.theirs.talk()), (None, Some("blocked")));
        let refused = turned(blocked).after(&Step::Ask(None), rules).unwrap_err();
        assert_eq!(refused.kind, Kind::Blocked);
    }
}
