//! Texts of the page that makes a link, and of the pages that a link opens.

super::texts! { DeveloperTexts, developer;
    title: "Your endpoint", "您的接收端";
    nav: "Pages of the endpoint", "接收端页面";
    t_endpoint: "Endpoint", "接收端";
    t_failed: "Given up", "已放弃";
    t_catalogue: "Events", "事件目录";
    t_verify: "Verify", "验签";
    ends: "This link ends", "链接失效时间";
    leave: "Close", "退出";
    open_title: "Open the page of your endpoint", "打开您的接收端页面";
    open_lead:
        "The link shows one callback: what was sent to it, how it answered, and a way to try it. It needs no account.",
        "此链接只显示一个回调：发送过什么、如何应答，并可进行测试。无需账号。";
    open_key: "Key: what stands behind # in the link", "密钥：链接中 # 之后的部分";
    open_go: "Open", "打开";
    open_note:
        "The key stays out of the address, of logs and of other sites. Close the page when you are done.",
        "密钥不会留在地址栏、日志或其他网站中。用完后请退出。";
    active: "Active: batches are sent", "正常：正在推送";
    paused: "Paused: events wait", "已暂停：事件排队等待";
    disabled: "Disabled: nothing is sent and nothing waits", "已停用：不推送也不排队";
    breaker: "Circuit breaker", "熔断器";
    b_closed: "closed: batches are sent", "闭合：正常推送";
    b_half: "half-open: a probe is under way", "半开：正在试探";
    b_open: "open: after failures only a probe is sent from time to time", "断开：多次失败后只偶尔试探";
    failing: "Fails since", "开始失败于";
    address: "Address", "地址";
    types: "Event types", "事件类型";
    waiting: "Events that wait", "排队事件";
    oldest: "waiting since", "最早排队于";
    given_up: "Given up", "已放弃";
    no_filter: "all channels", "所有频道";
    channels: "Channels", "频道";
    test: "Send a test event", "发送测试事件";
    test_lead: "It sends one signed callback.test at once, in any state.", "立即发送一个带签名的 callback.test，与状态无关。";
    tested_good: "Your endpoint took the test", "您的接收端已接受测试";
    tested_bad: "Your endpoint did not take the test", "您的接收端没有接受测试";
    status: "Status", "状态码";
    duration: "Duration", "耗时";
    size: "Size of the request", "请求大小";
    no_answer: "no answer", "无应答";
    answer: "Beginning of the answer", "应答开头";
    deliveries: "What was sent", "推送记录";
    d_lead: "Each POST to your endpoint, the newest first.", "对您接收端的每次 POST，最新的在前。";
    d_none: "Nothing was sent yet. Send a test event, or wait for the first event.", "尚未推送。可发送测试事件，或等待第一个事件。";
    taken: "taken", "已接受";
    events: "Events", "事件数";
    show_payload: "Payload", "内容";
    payload: "What this POST held", "此次 POST 的内容";
    payload_lead:
        "The events as your endpoint got them, read from the log. A message that was recalled meanwhile has no content. The look is recorded.",
        "按您的接收端收到的样子，从事件日志读出。之后被撤回的消息没有内容。此次查看会被记录。";
    payload_gone: "The log does not have the events of this POST any more, or this version did not keep them.", "事件日志中已没有此次推送的事件，或当时的版本未保存。";
    missing: "events of this POST are not in the log any more", "个事件已不在日志中";
    batch: "Batch", "批次";
    back: "Back", "返回";
    f_title: "What was given up", "已放弃的推送";
    f_lead:
        "Your endpoint refused these events, or did not answer, for too long while it took others. Fix the cause, then send them again.",
        "这些事件长时间被拒收或无应答，而同期其他事件正常。排除原因后可重新发送。";
    f_none: "Nothing was given up.", "没有放弃的推送。";
    reason: "Reason", "原因";
    resend: "Send again", "重新发送";
    resent: "It is in the queue again.", "已重新排队。";
    resent_none: "It was sent again already, or is not there any more.", "已重新发送，或已不存在。";
    r_title: "Recover since a time", "从某一时刻起恢复";
    r_lead: "You see how many there are before anything is sent. Drop repeats by event_id.", "发送之前会先显示数量。请按 event_id 去重。";
    r_since: "Since (UTC)", "起始时间（UTC）";
    r_what: "What", "范围";
    r_dead: "What was given up", "已放弃的推送";
    r_all: "All events of the log, also those that were taken", "日志中的全部事件，包括已接受的";
    r_preview: "Count", "查看数量";
    r_found_dead: "batches that were given up, with events:", "个已放弃的批次，事件数：";
    r_found_all: "events of the log", "个日志事件";
    r_at_least: "or more", "或更多";
    r_confirm: "Send them again", "重新发送";
    r_nothing: "There is nothing to send again since then.", "该时刻之后没有可重新发送的内容。";
    r_done: "They are in the queue again.", "已重新排队。";
    r_more: "There are more. Go on with the next ones.", "还有更多，可继续。";
    r_go_on: "Go on", "继续";
    c_title: "Events that you can get", "可收到的事件";
    c_lead: "An event of each type of your endpoint, as the contract has it. The data are made up.", "您的接收端可收到的每种事件的示例，来自接口契约，数据为虚构。";
    v_title: "Verify the signature", "校验签名";
    v_lead:
        "The header webhook-signature has one or more signatures (Standard Webhooks 1.0). Verify the raw body before you parse it. The administrator who made the callback has the secret.",
        "请求头 webhook-signature 中有一个或多个签名（Standard Webhooks 1.0）。请在解析之前用原始请求体验签。密钥由创建回调的管理员保管。";
    copy: "Copy", "复制";
    a_title: "Links for the developer of an endpoint", "接收端开发者链接";
    a_lead:
        "A link shows this callback alone: its deliveries with their payloads, a test, and a way to send again. It needs no account. Give it to the developer of the endpoint only.",
        "链接只显示这一个回调：推送记录及内容、测试和重新发送。无需账号。请只交给该接收端的开发者。";
    a_which: "Callback", "回调";
    a_pick: "Show", "显示";
    a_hours: "Hours that it holds", "有效小时数";
    a_name: "For whom", "用途";
    a_make: "Make a link", "生成链接";
    a_made: "This link is shown once. Copy it now.", "链接只显示一次，请立即复制。";
    a_repeat: "This link was made before. Its key is not stored: revoke it and make another one.", "该链接已生成过，密钥未保存：请撤销后重新生成。";
    a_list: "Links", "链接";
    a_none: "There is no link.", "没有链接。";
    a_by: "Made by", "生成者";
    a_until: "Holds until", "有效期至";
    a_ended: "ended", "已失效";
    a_opened: "Opened", "最近打开";
    a_never: "never", "从未";
    a_revoke: "Revoke", "撤销";
    p_401: "This link does not open any more", "链接已失效";
    p_401_do: "It has ended, was revoked, or is not whole. Ask the administrator who sent it for a new one.", "链接已过期、被撤销或不完整。请向发送链接的管理员索取新链接。";
    p_403: "This link does not reach that", "此链接无权访问";
    p_403_do: "It is for one callback alone. Ask the administrator for what you need.", "它只对应一个回调。如有需要请联系管理员。";
    p_form: "This form is not from this page", "表单并非来自本页面";
    p_form_do: "Go back, load the page again, and send the form from there.", "请返回并重新加载页面，再提交表单。";
    p_404: "Not found", "未找到";
    p_404_do: "It is not there any more. Go back to the page of the endpoint.", "内容已不存在，请返回接收端页面。";
    p_409: "That is not possible now", "当前无法执行";
    p_409_do: "See below what is to be done first.", "请先按下面的说明处理。";
    p_400: "A field is not right", "填写有误";
    p_400_do: "Correct it and send the form again.", "请更正后重新提交。";
    p_429: "Too many requests", "请求过多";
    p_429_do: "Wait a few seconds, then load the page again.", "请等待几秒后重新加载页面。";
    p_503: "The service cannot answer now", "服务暂时无法应答";
    p_503_do: "Try again in a minute.", "请一分钟后重试。";
    p_500: "Something is wrong here", "出现故障";
    p_500_do: "Tell the administrator the request id below.", "请将下面的请求编号告知管理员。";
}
