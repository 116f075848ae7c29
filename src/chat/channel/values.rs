//! The kinds of channels, and the choices that a group has.

use crate::base::named::named;

named! {
    /// Whether a channel is between two users.
    pub enum ChannelType ("type of channel") {
        Direct = "direct",
        Group = "group",
    }
}

named! {
    /// What a member may do in a group.
    pub enum MemberRole ("role of a member") {
        /// Exactly one in a group. Sets roles, transfers the ownership, dissolves the group.
        Owner = "owner",
        /// Changes the group and its members.
        Admin = "admin",
        Member = "member",
    }
}

named! {
    /// What new members see of the messages before them.
    pub enum NewcomersSee ("value of newcomers_see") {
        Nothing = "nothing",
        Everything = "everything",
    }
}

named! {
    /// How users join a group by themselves.
    pub enum JoinRule ("value of join") {
        /// Not at all: members add them.
        Closed = "closed",
        /// An admin agrees to each request.
        Request = "request",
        /// With the code of an invite.
        Code = "code",
        /// At once.
        Open = "open",
    }
}

named! {
    /// Who may add users to a group.
    pub enum WhoAdds ("value of who_adds") {
        Everybody = "everybody",
        /// The owner and admins.
        Admins = "admins",
    }
}

named! {
    /// Who may send to a group.
    pub enum WhoSends ("value of who_sends") {
        Everybody = "everybody",
        /// The owner, admins and applications.
        Admins = "admins",
    }
}
