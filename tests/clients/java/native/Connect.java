import gateway.ApiClient;

/** A client that needs nothing but the JDK and Jackson. */
class Connect {
  static ApiClient as(String user, String baseUrl) {
    var client = new ApiClient();
    client.updateBaseUri(baseUrl);
    client.setRequestInterceptor(request -> request.header("x-user-id", user));
    return client;
  }
}
