// Verifies requests with the class WebhookVerifier of docs/portals.md.
//
// Standard input: a request a line, with its parts separated by tabs: secret, id, timestamp, signatures, and the body in
// base64. A part begins with `=`; an empty one is a header that did not come. Standard output: a JSON list of true and
// false, which is whether the class took it.
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;

final class Verify {
    public static void main(String[] arguments) throws Exception {
        var taken = new ArrayList<Boolean>();
        var input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line : input.lines().toList()) {
            String[] parts = line.split("\t", -1);
            byte[] body = Base64.getDecoder().decode(part(parts[4]));
            taken.add(new WebhookVerifier(part(parts[0])).isValid(part(parts[1]), part(parts[2]), part(parts[3]), body));
        }
        System.out.println(taken);
    }

    private static String part(String text) {
        return text.isEmpty() ? null : text.substring(1);
    }
}
