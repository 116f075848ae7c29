//! Texts of every page, and of the pages for support staff.

super::texts! { Texts, texts;
    console: "Console", "控制台";
    skip: "To the content", "跳到正文";
    search: "Search", "搜索";
    delivery: "Delivery", "送达";
    people: "People", "人员";
    operations: "Operations", "运维";
    help: "Keyboard help", "键盘帮助";
    help_search: "Go to the search box", "跳到搜索框";
    help_move: "Next, previous entry", "下一条、上一条";
    help_open: "Open the entry", "打开条目";
    help_close: "Close", "关闭";
    language: "中文", "English";
    signed_in: "Signed in as", "当前用户";
    case: "Case", "工单";
    case_title: "Why do you look?", "为什么要查看？";
    case_why:
        "You are about to see messages of other people. The audit records each look with your name and this reason.",
        "接下来会看到他人的消息。每次查看都会记入审计日志，包括您的姓名和理由。";
    case_label: "Reason, such as a ticket number", "理由，例如工单号";
    case_begin: "Continue", "继续";
    case_end: "End the case", "结束工单";
    case_length:
        "It counts for 8 hours in this browser, or until you end the case.",
        "在此浏览器中 8 小时内有效，或直到您结束工单。";
    audited: "Each page that you open here is recorded in the audit.", "此处打开的每一页都会记入审计日志。";
    search_title: "Search messages", "搜索消息";
    f_words: "Messages with the words", "包含文字";
    f_sender: "from", "发送人";
    f_receiver: "to", "接收人";
    f_status: "whose status is", "其状态为";
    f_channel: "in channel", "频道编号";
    f_type: "of type", "类型";
    f_from: "sent from", "起始日期";
    f_to: "until", "截止日期";
    f_topic: "on topic", "话题";
    anyone: "anyone", "任何人";
    any: "any", "不限";
    any_words: "any words", "任意文字";
    status_any: "any status", "任意状态";
    s_unreceived: "Not received", "未收到";
    s_received: "Received, not read", "已收到，未读";
    s_read: "Read", "已读";
    s_offline: "Offline", "离线";
    s_rejected: "Refused", "被拒收";
    go: "Search", "搜索";
    clear: "Clear", "清除";
    export_csv: "Export CSV", "导出 CSV";
    export_ndjson: "Export NDJSON", "导出 NDJSON";
    no_hits: "No message matches.", "没有匹配的消息。";
    no_hits_do:
        "Try fewer conditions, another spelling, or a longer time. The newest messages can be found a few seconds after they are sent.",
        "请减少条件、换一种写法或延长时间范围。最新的消息发送几秒后即可搜到。";
    begin:
        "Fill in what you know, and search. Without conditions you see the newest messages.",
        "填写已知的信息后搜索。不填条件则显示最新消息。";
    more: "Next page", "下一页";
    short_page:
        "This page is short because few messages match. Go on to the next one.",
        "匹配的消息较少，本页不满。请继续看下一页。";
    around: "In its channel", "查看上下文";
    receivers: "Receivers", "接收情况";
    why_link: "Why not received?", "为何未收到？";
    recalled_by: "Recalled by", "撤回人";
    older: "Older messages", "更早的消息";
    newer: "Newer messages", "更新的消息";
    channel: "Channel", "频道";
    direct: "Direct channel", "单聊";
    group: "Group", "群组";
    unnamed: "Group without a name", "未命名群组";
    members: "Members", "成员";
    messages: "Messages", "消息";
    owner: "Owner", "群主";
    owner_left: "has left the company", "已离职";
    no_owner: "No owner", "没有群主";
    dissolved: "Dissolved", "已解散";
    no_messages: "No message here.", "这里没有消息。";
    joined: "joined", "加入于";
    was_member: "Member for messages", "成员区间";
    now: "now", "至今";
    message: "Message", "消息";
    all: "All", "全部";
    receivers_title: "Who has received and read it", "谁已收到、已读";
    person: "Person", "人员";
    status: "Status", "状态";
    since: "Since", "时间";
    no_receivers: "No receiver has this status.", "没有接收人处于此状态。";
    ask_why: "Why didn't a person get it?", "某人为什么没有收到？";
    ask_person: "Name or user id", "姓名或用户编号";
    which_person: "Which of these people?", "是哪一位？";
    ask_message: "Message id", "消息编号";
    ask: "Find out", "查明原因";
    delivery_lead:
        "Give the message and the person. The search shows the id of the message.",
        "填写消息和人员。消息编号可在搜索结果中找到。";
    line: "What happened", "经过";
    e_accepted: "Accepted and stored", "已接受并存储";
    e_accepted_note:
        "The sender has the acknowledgement. The message cannot get lost.",
        "发送人已得到确认，消息不会丢失。";
    e_member: "Receiver", "接收人";
    e_no_member: "Not a receiver", "不是接收人";
    e_post: "POST to the gateway", "推送到网关";
    e_waiting: "Waits", "等待中";
    e_next: "Next try", "下次尝试";
    e_dead: "Given up", "已放弃";
    e_offline: "The gateway said: offline", "网关答复：离线";
    e_rejected: "The gateway refused it", "网关拒收";
    e_received: "Received", "已收到";
    e_read: "Read", "已读";
    e_archived: "Archived", "已归档";
    e_archived_note: "The message is in the archive alone. Receipts still count.", "消息仅存于归档中，回执仍然有效。";
    no_answer: "no answer", "无应答";
    answer: "Beginning of the answer", "应答开头";
    span_note:
        "Several batches can span this time. One of these held the message.",
        "同一时间可能有多个批次，其中之一包含此消息。";
    to_do: "What to do", "如何处理";
    curl: "As curl", "用 curl 查询";
    curl_note:
        "$API is the address of the API, $TOKEN a token with the role support.",
        "$API 是接口地址，$TOKEN 是具有 support 角色的令牌。";
    copy: "Copy", "复制";
    copied: "Copied", "已复制";
    people_title: "Find a person", "查找人员";
    people_box: "Name or number", "姓名或工号";
    departments: "Departments", "部门";
    no_departments: "There are no users and no departments here.", "这里没有人员，也没有下级部门。";
    users: "people", "人";
    copy_link: "Copy the link", "复制链接";
    no_people: "No user matches.", "没有匹配的用户。";
    no_people_do: "Give the beginning of the name, or the exact user id.", "请输入姓名的开头，或完整的用户编号。";
    their_channels: "Channels", "频道";
    no_channels: "This user was never in a channel.", "该用户从未加入任何频道。";
    last_message: "Last message", "最后一条消息";
    k_external: "External", "外部人员";
    k_application: "Application", "应用";
    k_robot: "Robot", "机器人";
    t_text: "Text", "文本";
    t_picture: "Picture", "图片";
    t_file: "File", "文件";
    t_voice: "Voice", "语音";
    t_video: "Video", "视频";
    t_location: "Location", "位置";
    t_markdown: "Markdown", "Markdown";
    t_link: "Link", "链接";
    t_card: "Card", "卡片";
    t_forward: "Forwarded messages", "转发的消息";
    t_call: "Call", "通话";
    t_mls: "Encrypted message", "加密消息";
    was_in: "Was a member", "曾是成员";
    active: "Active", "在职";
    inactive: "Has left", "已离职";
    online: "Online", "在线";
    offline: "Offline", "离线";
    title: "Title", "职务";
    email: "Email", "邮箱";
    phone: "Phone", "电话";
    number: "Employee number", "工号";
    login_name: "Login name", "登录名";
    manager: "Manager", "上级";
    their_sent: "Messages sent", "发送的消息";
    their_received: "Messages received", "收到的消息";
    p_403: "You need the role support", "您需要 support 角色";
    p_403_do:
        "Ask the administrator of the API gateway to give you the role support, then open this page again. Nothing was shown.",
        "请让 API 网关的管理员授予您 support 角色，然后重新打开本页。没有显示任何内容。";
    p_401: "Sign in first", "请先登录";
    p_401_do:
        "Open the console through the company's gateway, which signs you in. A direct call has no identity.",
        "请通过公司网关打开控制台，由网关完成登录。直接访问没有身份。";
    p_404: "Not found", "未找到";
    p_404_do: "Check the ids. Copy them from the search.", "请检查编号，可从搜索结果中复制。";
    p_400: "A condition is not right", "条件有误";
    p_400_do: "Correct it and search again.", "请更正后重新搜索。";
    p_409: "This cannot be done now", "当前无法执行";
    p_409_do: "The line below says why.", "原因见下一行。";
    p_429: "Too many requests", "请求过多";
    p_429_do: "Wait a few seconds, then open the page again.", "请等待几秒后重新打开页面。";
    p_503: "The service cannot answer now", "服务暂时无法应答";
    p_503_do:
        "The database or the archive does not answer. Try again in a minute; if it stays, tell the operator.",
        "数据库或归档没有应答。请一分钟后重试；若仍然如此，请告知运维人员。";
    p_500: "Something is wrong here", "出现故障";
    p_500_do: "Tell the operator the request id below.", "请将下面的请求编号告知运维人员。";
    p_form: "This form is not from this console", "表单并非来自本控制台";
    p_form_do: "Open the console again and send the form from there.", "请重新打开控制台，并从那里提交表单。";
    request_id: "Request", "请求编号";
    back: "Back to the search", "返回搜索";
    times_utc: "Times are UTC.", "时间均为 UTC。";
    times_of: "Times are of the zone", "时间所属时区：";
    whole_text: "Whole text", "查看全文";
    e_batch: "batch received", "批次送达";
}
