import gateway.ApiClient;

/** A client over Spring's RestClient. */
class Connect {
  static ApiClient as(String user, String baseUrl) {
    return new ApiClient().setBasePath(baseUrl).addDefaultHeader("x-user-id", user);
  }
}
