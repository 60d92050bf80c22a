import Testing
import WireProtocol

@Suite struct ProxyTests {
  private func proxy(
    _ environment: [String: String], for url: String = "https://tally.example.org:8787"
  ) throws -> String? {
    try ProxySettings(for: url, environment: environment)?.spelled
  }

  @Test func theEnvironmentNamesAProxy() throws {
    #expect(try proxy([:]) == nil)
    #expect(try proxy(["http_proxy": "http://other:3128"]) == nil)
    #expect(try proxy(["HTTPS_PROXY": "http://proxy:3128/"]) == "http://proxy:3128")
    #expect(try proxy(["https_proxy": "a:1", "HTTPS_PROXY": "b:2"]) == "http://a:1")
    #expect(
      try proxy(["https_proxy": "", "ALL_PROXY": "socks5h://[::1]:9050"]) == "socks5://::1:9050")
    let known = try ProxySettings(
      for: "https://x", environment: ["https_proxy": "http://me:pa%40ss@proxy:8080"])
    #expect(known?.user == "me" && known?.password == "pa@ss")
    #expect(known?.spelled == "http://proxy:8080")
  }

  @Test(arguments: [
    "tally.example.org", "example.org", ".example.org", "*.example.org", "*", "EXAMPLE.org",
    "localhost,example.org", "localhost, example.org:8787",
  ])
  func hostsMayBeExcluded(list: String) throws {
    #expect(try proxy(["https_proxy": "proxy:1", "no_proxy": list]) == nil)
  }

  @Test(arguments: ["ample.org", "org.example", "tally.example.org:443", "", "10.0.0.0/8", ","])
  func othersAreNot(list: String) throws {
    #expect(try proxy(["https_proxy": "proxy:1", "NO_PROXY": list]) == "http://proxy:1")
  }

  @Test func addressesMayBeExcludedInBlocks() throws {
    func isDirect(_ url: String, _ list: String) throws -> Bool {
      try proxy(["https_proxy": "proxy:1", "no_proxy": list], for: url) == nil
    }
    #expect(try isDirect("https://10.1.2.3:8787", "10.0.0.0/8"))
    #expect(try isDirect("https://10.1.2.3:8787", "10.1.2.3"))
    #expect(try !isDirect("https://11.1.2.3", "10.0.0.0/8"))
    #expect(try !isDirect("https://10.1.2.3", "10.1.2.4/31"))
    #expect(try isDirect("https://10.1.2.5", "10.1.2.4/31"))
    #expect(try isDirect("https://[fd00::1]:8787", "fd00::/8"))
    #expect(try isDirect("https://[::1]", "::1"))
    #expect(try !isDirect("https://[::1]", "0.0.0.0/0"))
    #expect(try !isDirect("https://10.1.2.3", "10.0.0.0/33"))
  }

  @Test(arguments: [
    "ftp://proxy", "https://proxy:1", "http://", "http://proxy:0", "socks5://u@p:1",
  ])
  func whatIsNoUsableProxyIsAnError(value: String) {
    #expect(throws: ProxyError.self) { try proxy(["https_proxy": value]) }
  }
}
