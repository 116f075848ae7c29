//! A finding as one sentence, and what to do next.

use super::lang::Lang;
use crate::records::diagnosis::Finding;

/// How a finding looks: whether all is well, something is under way, or an action is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    Good,
    Open,
    Bad,
    /// Nothing was to be delivered.
    Neutral,
}

pub const fn tone(finding: Finding) -> Tone {
    use Finding::*;
    match finding {
        Read | Received => Tone::Good,
        Offline | Waiting | Retrying => Tone::Open,
        Rejected | GatewayFailing | GatewayPaused | NoGateway | PushOff | DeadLetter | NotDelivered => {
            Tone::Bad
        }
        Sender | LeftCompany | NeverMember | JoinedLater | LeftBefore | NotReceiver => Tone::Neutral,
    }
}

/// Why the user has the message, or has not.
pub fn sentence(lang: Lang, finding: Finding, name: &str) -> String {
    match lang {
        Lang::En => english(finding, name),
        Lang::Zh => chinese(finding, name),
    }
}

fn english(finding: Finding, name: &str) -> String {
    use Finding::*;
    match finding {
        Sender => format!("{name} sent this message. Senders do not receive their own messages."),
        Read => format!("{name} has received and read it."),
        Received => format!("{name} has received it, and has not read it."),
        Offline => format!("{name} was offline when it was pushed. It waits until {name} signs in."),
        LeftCompany => format!("{name} had left the company, so it was not pushed."),
        Rejected => format!("The gateway refused it for {name}. It is not sent to the gateway again."),
        Waiting => format!("It waits for its turn to be pushed to {name}."),
        Retrying => format!("Pushes to {name} had no success so far. The service tries again."),
        GatewayFailing => {
            "The gateway does not answer as it should. All pushes wait until it does.".to_owned()
        }
        GatewayPaused => "An administrator has paused the gateway. All pushes wait.".to_owned(),
        NoGateway => "No gateway is configured. All pushes wait for one.".to_owned(),
        PushOff => format!("Push is turned off. {name} gets it at the next sign-in."),
        DeadLetter => format!("Pushes to {name} failed for too long. The service gave it up."),
        NotDelivered => format!("{name} has not received it, and no push waits any more."),
        NeverMember => format!("{name} was never a member of this channel."),
        JoinedLater => format!("{name} joined the channel after this message."),
        LeftBefore => format!("{name} had left the channel before this message."),
        NotReceiver => format!("{name} is in the channel, and receives no messages there, as a robot."),
    }
}

fn chinese(finding: Finding, name: &str) -> String {
    use Finding::*;
    match finding {
        Sender => format!("这条消息是 {name} 自己发送的，发送人不会收到自己的消息。"),
        Read => format!("{name} 已收到并已读。"),
        Received => format!("{name} 已收到，但尚未阅读。"),
        Offline => format!("推送时 {name} 不在线，消息会等到 {name} 登录后送达。"),
        LeftCompany => format!("{name} 当时已离职，因此没有推送。"),
        Rejected => format!("网关拒收了发给 {name} 的这条消息，不会再次推送。"),
        Waiting => format!("消息正在排队，等待推送给 {name}。"),
        Retrying => format!("向 {name} 推送尚未成功，服务会继续重试。"),
        GatewayFailing => "网关没有正常应答，所有推送都在等待它恢复。".to_owned(),
        GatewayPaused => "管理员已暂停网关，所有推送都在等待。".to_owned(),
        NoGateway => "尚未配置网关，所有推送都在等待。".to_owned(),
        PushOff => format!("推送已关闭，{name} 下次登录时会收到。"),
        DeadLetter => format!("向 {name} 推送长时间失败，服务已放弃。"),
        NotDelivered => format!("{name} 没有收到，也没有等待中的推送。"),
        NeverMember => format!("{name} 从未加入这个频道。"),
        JoinedLater => format!("{name} 在这条消息之后才加入频道。"),
        LeftBefore => format!("{name} 在这条消息之前已退出频道。"),
        NotReceiver => format!("{name} 是频道中的机器人，不接收消息。"),
    }
}

/// What to do next.
pub const fn advice(lang: Lang, finding: Finding) -> &'static str {
    match lang {
        Lang::En => english_advice(finding),
        Lang::Zh => chinese_advice(finding),
    }
}

const fn english_advice(finding: Finding) -> &'static str {
    use Finding::*;
    match finding {
        Sender | Read | LeftCompany => "Nothing needs to be done.",
        Received => {
            "Ask the person to open the channel. The sender can nudge the receivers who have not read."
        }
        Offline => {
            "Ask the person to sign in. If they are signed in, the gateway's connection list is wrong: tell its operator."
        }
        Rejected => "Tell the operator of the gateway the reason and the batch id below.",
        Waiting => {
            "Open this page again in a few seconds. If it still waits, look at the queue of the gateway."
        }
        Retrying => "Look at the answers below. If they do not change, tell the operator of the gateway.",
        GatewayFailing => {
            "Tell the operator of the gateway the last answer below. Nothing is lost: pushes go on when it answers."
        }
        GatewayPaused => {
            "An administrator presses Resume on the page of the endpoint \"gateway\". Nothing is lost."
        }
        NoGateway => {
            "The operator sets callback_url in the settings of the service, or an administrator creates the callback of the gateway. Nothing is lost."
        }
        PushOff => "If push is wanted, the operator sets callback_url in the settings of the service.",
        DeadLetter => "Find the cause in the answers below. Then an administrator replays the dead letter.",
        NotDelivered => {
            "The person gets it at the next sign-in. If a push is wanted, the sender can nudge or send it again."
        }
        NeverMember => "Add the person to the channel, and send the message again.",
        JoinedLater => {
            "Forward the message to the person. Whether newcomers see earlier messages is a setting of the channel."
        }
        LeftBefore => "Forward the message to the person, or add the person again.",
        NotReceiver => "Send the message to a person. A robot only sends.",
    }
}

const fn chinese_advice(finding: Finding) -> &'static str {
    use Finding::*;
    match finding {
        Sender | Read | LeftCompany => "无需处理。",
        Received => "请对方打开频道。发送人可以提醒未读的接收人。",
        Offline => "请对方登录。若对方已登录，则网关的连接列表有误，请告知网关运维人员。",
        Rejected => "请将下面的原因和批次编号告知网关运维人员。",
        Waiting => "几秒后重新打开本页。若仍在等待，请查看网关的队列。",
        Retrying => "请查看下面的应答。若应答一直不变，请告知网关运维人员。",
        GatewayFailing => "请将下面的最后一次应答告知网关运维人员。消息不会丢失，网关恢复后会继续推送。",
        GatewayPaused => "由管理员在端点 gateway 的页面上点击“恢复”。消息不会丢失。",
        NoGateway => "由运维人员在服务配置中设置 callback_url，或由管理员创建网关的回调。消息不会丢失。",
        PushOff => "如需推送，由运维人员在服务配置中设置 callback_url。",
        DeadLetter => "先从下面的应答中找出原因，再由管理员重放死信。",
        NotDelivered => "对方下次登录时会收到。如需推送，发送人可以提醒对方或重新发送。",
        NeverMember => "将对方加入频道，然后重新发送。",
        JoinedLater => "将消息转发给对方。新成员能否看到历史消息由频道设置决定。",
        LeftBefore => "将消息转发给对方，或重新将其加入频道。",
        NotReceiver => "请把消息发给人员。机器人只发送、不接收消息。",
    }
}
