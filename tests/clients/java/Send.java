import gateway.api.ChannelsApi;
import gateway.api.MessagesApi;
import gateway.model.AddressedMessage;
import gateway.model.ChannelType;
import gateway.model.Content;
import gateway.model.MessageType;
import gateway.model.NewChannel;
import gateway.model.NewMessage;
import java.util.List;

/** Says something in a direct channel, through a client made of the contract, and reads it again. */
public class Send {
  public static void main(String[] args) throws Exception {
    var env = System.getenv();
    var text = env.get("TEXT");
    var client = Connect.as(env.get("SENDER"), env.get("BASE_URL"));
    var messages = new MessagesApi(client);
    var channel = new ChannelsApi(client)
        .createChannel(new NewChannel().type(ChannelType.DIRECT).members(List.of(env.get("RECEIVER"))))
        .getChannelId();
    var sent = messages.sendMessage(
        channel,
        new NewMessage().clientId(text).type(MessageType.TEXT).content(new Content().text(text)));
    var picture = new AddressedMessage().channelId(channel).type(MessageType.PICTURE)
        .content(new Content().url("/p.png").width(3));
    var bulk = messages.sendMessages(List.of(picture)).getResults().get(0);
    var read = messages.listMessages(channel, null, null, null, null, null).getItems().stream()
        .map(said -> said.getType() == MessageType.TEXT ? said.getContent().getText() : said.getContent().getUrl())
        .map(said -> '"' + said + '"').toList();
    System.out.printf("{\"ms_id\": \"%s\", \"bulk\": \"%s\", \"read\": %s}%n", sent.getMsId(), bulk.getMsId(), read);
  }
}
