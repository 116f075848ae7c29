// One call as curl, JavaScript and Java: what the page has just sent, ready to run against the service.

const shell = (text) => `'${text.replaceAll("'", "'\\''")}'`;
// A string of JSON is one of Java and of JavaScript, too.
const quoted = JSON.stringify;

/** The headers of a call as the API gateway passes it on. */
function headers({ as, roles, body, file }) {
  const all = [['x-user-id', as]];
  if (roles) all.push(['x-user-roles', roles]);
  if (body !== undefined) all.push(['content-type', 'application/json']);
  if (file) all.push(['content-type', 'application/octet-stream']);
  return all;
}

export function curl(call, service) {
  const parts = ['curl -sS'];
  if (call.method !== 'GET') parts.push(`-X ${call.method}`);
  for (const [name, value] of headers(call)) parts.push(`-H ${shell(`${name}: ${value}`)}`);
  if (call.body !== undefined) parts.push(`-d ${shell(JSON.stringify(call.body))}`);
  if (call.file) parts.push(`--data-binary ${shell(`@${call.file}`)}`);
  parts.push(shell(service + call.path));
  return parts.join(' \\\n  ');
}

export function javascript(call, service) {
  const lines = [`const answer = await fetch(${quoted(service + call.path)}, {`];
  lines.push(`  method: ${quoted(call.method)},`);
  const pairs = headers(call).map(([name, value]) => `${quoted(name)}: ${quoted(value)}`);
  lines.push(`  headers: { ${pairs.join(', ')} },`);
  if (call.body !== undefined) {
    const body = JSON.stringify(call.body, null, 2).replaceAll('\n', '\n  ');
    lines.push(`  body: JSON.stringify(${body}),`);
  }
  if (call.file) {
    lines.unshift('import { readFile } from "node:fs/promises";', '');
    lines.push(`  body: await readFile(${quoted(call.file)}),`);
  }
  lines.push('});', 'console.log(answer.status, await answer.text());');
  return lines.join('\n');
}

export function java(call, service) {
  const lines = ['import java.net.URI;', 'import java.net.http.HttpClient;', 'import java.net.http.HttpRequest;',
    'import java.net.http.HttpRequest.BodyPublishers;', 'import java.net.http.HttpResponse.BodyHandlers;'];
  if (call.file) lines.push('import java.nio.file.Path;');
  let body = 'BodyPublishers.noBody()';
  if (call.body !== undefined) body = `BodyPublishers.ofString(${quoted(JSON.stringify(call.body))})`;
  if (call.file) body = `BodyPublishers.ofFile(Path.of(${quoted(call.file)}))`;
  lines.push('', 'public class Call {', '    public static void main(String[] args) throws Exception {');
  lines.push(`        var request = HttpRequest.newBuilder(URI.create(${quoted(service + call.path)}))`);
  for (const [name, value] of headers(call)) lines.push(`            .header(${quoted(name)}, ${quoted(value)})`);
  lines.push(`            .method(${quoted(call.method)}, ${body})`, '            .build();');
  lines.push('        var answer = HttpClient.newHttpClient().send(request, BodyHandlers.ofString());');
  lines.push('        System.out.println(answer.statusCode() + " " + answer.body());', '    }', '}');
  return lines.join('\n');
}
