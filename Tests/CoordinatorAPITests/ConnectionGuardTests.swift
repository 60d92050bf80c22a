import CoordinatorServer
import NIOCore
import NIOEmbedded
import NIOHTTP1
import Testing

/// One connection as its limits see it, with a clock that the test moves.
@Suite struct ConnectionGuardTests {
  private struct Connection {
    let channel: EmbeddedChannel

    init(
      _ limits: ConnectionLimits = ConnectionLimits(), counts: ConnectionCounts = .init(),
      from address: String = "192.0.2.1"
    ) throws {
      channel = EmbeddedChannel(handler: limits.makeGuard(counts))
      try channel.connect(to: try SocketAddress(ipAddress: address, port: 1)).wait()
    }

    var isOpen: Bool { channel.isActive }

    func head(
      _ method: HTTPMethod = .POST, version: HTTPVersion = .http1_1,
      headers: HTTPHeaders = ["host": "h", "transfer-encoding": "chunked"]
    ) throws {
      let head = HTTPRequestHead(version: version, method: method, uri: "/", headers: headers)
      try channel.writeInbound(HTTPServerRequestPart.head(head))
      channel.read()
    }

    func body(_ bytes: Int) throws {
      try channel.writeInbound(
        HTTPServerRequestPart.body(ByteBuffer(repeating: 0, count: bytes)))
      if isOpen { channel.read() }
    }

    func end() throws { try channel.writeInbound(HTTPServerRequestPart.end(nil)) }

    func answer(_ status: HTTPResponseStatus = .ok) throws {
      try channel.writeOutbound(
        HTTPServerResponsePart.head(HTTPResponseHead(version: .http1_1, status: status)))
      try channel.writeOutbound(HTTPServerResponsePart.end(nil))
    }

    /// The head of the next answer that was written.
    func answered() throws -> HTTPResponseHead? {
      while let part = try channel.readOutbound(as: HTTPServerResponsePart.self) {
        if case .head(let head) = part { return head }
      }
      return nil
    }

    func pass(seconds: Int64) { channel.embeddedEventLoop.advanceTime(by: .seconds(seconds)) }
  }

  /// What TLS does when a connection is closed behind it: it waits for the client's consent.
  private final class WaitingForConsent: ChannelOutboundHandler {
    typealias OutboundIn = NIOAny

    func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {}
  }

  @Test("who sends on after the answer is cut off, whatever TLS waits for")
  func endlessBody() throws {
    let connection = try Connection()
    let pipeline = connection.channel.pipeline.syncOperations
    try pipeline.addHandler(WaitingForConsent(), position: .first)
    try pipeline.addHandler(TransportHandler(), position: .first)
    try connection.head()
    try connection.answer(.unauthorized)
    #expect(try connection.answered()?.headers.first(name: "connection") == "close")
    var sent = 0
    while connection.isOpen, sent < 1 << 24 {
      try connection.body(1 << 16)
      sent += 1 << 16
    }
    #expect(sent == ConnectionLimits.lateBytes + (1 << 16))
  }

  @Test("a request that trickles in is given up, however steadily it does")
  func tricklingRequest() throws {
    let connection = try Connection()
    try connection.head()
    var seconds = 0
    while connection.isOpen, seconds < 600 {
      connection.pass(seconds: 5)
      seconds += 5
      if connection.isOpen { try connection.body(1) }
    }
    #expect((60...70).contains(seconds))
  }

  @Test("a large upload may take hours at the slowest speed that is allowed")
  func longUpload() throws {
    let connection = try Connection()
    try connection.head()
    for _ in 0..<1000 {
      connection.pass(seconds: 10)
      try connection.body(2600)
    }
    #expect(connection.isOpen)
    try connection.end()
    connection.pass(seconds: 3600)
    #expect(connection.isOpen)
  }

  @Test("time in which the server does not read is not the client's")
  func serverThatWaits() throws {
    let connection = try Connection()
    let head = HTTPRequestHead(
      version: .http1_1, method: .PUT, uri: "/",
      headers: ["host": "h", "content-length": "9999999"])
    try connection.channel.writeInbound(HTTPServerRequestPart.head(head))
    connection.pass(seconds: 3600)
    #expect(connection.isOpen)
    connection.channel.read()
    connection.pass(seconds: 61)
    #expect(!connection.isOpen)
  }

  @Test("an answer before the end of an endless body ends the connection, soon")
  func earlyAnswer() throws {
    let connection = try Connection()
    try connection.head()
    try connection.answer(.unauthorized)
    let head = try #require(try connection.answered())
    #expect(head.status == .unauthorized && head.headers["connection"] == ["close"])
    #expect(connection.isOpen)
    var taken = 0
    while connection.isOpen, taken < 1 << 30 {
      try connection.body(65536)
      taken += 65536
    }
    #expect(taken <= ConnectionLimits.lateBytes + 65536)

    let silent = try Connection()
    try silent.head()
    try silent.answer(.unauthorized)
    silent.pass(seconds: Int64(ConnectionLimits.lateSeconds))
    #expect(!silent.isOpen)
  }

  @Test("a small rest of a refused request is read, and the connection goes on")
  func smallRest() throws {
    let connection = try Connection()
    try connection.head(headers: ["host": "h", "content-length": "100"])
    try connection.answer(.unauthorized)
    #expect(try connection.answered()?.headers["connection"] == [])
    try connection.body(100)
    try connection.end()
    try connection.head(.GET, headers: ["host": "h"])
    try connection.end()
    try connection.answer()
    #expect(try connection.answered()?.status == .ok)
    #expect(connection.isOpen)
  }

  @Test("HTTP/1.1 names its host, once; HTTP/1.0 need not")
  func hostIsNamed() throws {
    for (version, headers, isGood) in [
      (HTTPVersion.http1_1, [:], false), (.http1_1, ["host": "a"], true),
      (.http1_1, ["host": "a", "Host": "b"], false), (.http1_0, [:], true),
    ] as [(HTTPVersion, HTTPHeaders, Bool)] {
      let connection = try Connection()
      try connection.head(.GET, version: version, headers: headers)
      #expect(connection.isOpen == isGood, "\(version) \(headers)")
      #expect(try connection.answered()?.status == (isGood ? nil : .badRequest))
    }
  }

  @Test("one address has so many connections, and another still has its own")
  func connectionsOfAnAddress() throws {
    var limits = ConnectionLimits()
    limits.connectionsPerAddress = 2
    let counts = ConnectionCounts()
    func connect(_ address: String) throws -> Connection {
      try Connection(limits, counts: counts, from: address)
    }
    let first = try connect("192.0.2.1")
    #expect(first.isOpen)
    #expect(try connect("192.0.2.1").isOpen)
    #expect(try !connect("192.0.2.1").isOpen)
    #expect(try connect("192.0.2.2").isOpen)
    // One holder of IPv6 has at least 64 bits of it.
    #expect(try connect("2001:db8::1").isOpen && connect("2001:db8::2").isOpen)
    #expect(try !connect("2001:db8::3").isOpen)
    #expect(try connect("2001:db8:0:1::1").isOpen)
    // An IPv4 address through an IPv6 socket is the same one.
    #expect(try !connect("::ffff:192.0.2.1").isOpen)
    try first.channel.close().wait()
    first.channel.embeddedEventLoop.run()
    #expect(try connect("192.0.2.1").isOpen)
  }

  @Test("file descriptors bound connections, and no address has them all")
  func descriptorsBoundConnections() {
    let limits = ConnectionLimits()
    #expect(limits.within(descriptors: 1 << 20) == limits)
    let few = limits.within(descriptors: 256)
    #expect(few.connections == 96 && few.connectionsPerAddress == 48)
    #expect(limits.within(descriptors: 10).connections == 16)
  }
}
