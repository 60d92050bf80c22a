import Foundation
import NIOCore
import NIOPosix
import Testing
import TestSupport
import WireProtocol
import WorkerCore
import WorkerDaemon

/// A member stays one, whatever the coordinator says and wherever it goes.
@Suite(.timeLimit(.minutes(5))) struct MembershipTests {
  let place: TemporaryFolder
  let authority: TestAuthority

  init() throws {
    place = try TemporaryFolder()
    authority = try TestAuthority()
  }

  func configuration(_ invitation: Invitation? = nil) -> WorkerConfiguration {
    var configuration = WorkerConfiguration(dataFolder: place.path("worker"))
    configuration.invitation = invitation
    return configuration
  }

  func member() throws -> Membership? {
    try Membership(in: WorkerFolder(place.path("worker")))
  }

  static func isIdle(_ report: WorkerReport) -> Bool {
    if case .idle = report.activity { true } else { false }
  }

  @Test func nothingThatTheCoordinatorSaysEndsAMember() async throws {
    let (authority, place) = (authority, place)
    try await StubCoordinator.run(authority: authority) { url, state in
      _ = try await WorkerDaemon.join(configuration(state.invitation(url, authority)))
      let refusals: [StubState.Refusal] = [
        .init(
          status: .unauthorized, code: WorkerErrorCode.certificateRequired,
          message: "The client certificate is not valid at this time. Enrol again."),
        .init(
          status: .unauthorized, code: WorkerErrorCode.certificateRequired,
          message: "The client certificate is unknown or revoked. Enrol again."),
        .init(
          status: .upgradeRequired, code: WorkerErrorCode.upgradeRequired, message: "Upgrade it."),
        .init(status: .forbidden, code: nil, message: "A proxy's word."),
      ]
      let lease = try await state.addUnit(
        1, model: state.addModel(chunks: [Data("chunk".utf8)]), inputs: Data("inputs".utf8))
      for refusal in refusals {
        await state.update { $0.refusals["lease"] = Array(repeating: refusal, count: 3) }
        try await withWorker(configuration()) { reports in
          let report = try await reports.wait { $0.coordinatorProblem != nil }
          #expect(report.coordinatorProblem?.contains(refusal.message) == true)
          #expect(report.coordinatorProblem?.contains("asking again in") == true)
          try await reports.wait { $0.coordinatorProblem == nil && Self.isIdle($0) }
        }
      }
      #expect(await state.uploads.map(\.lease) == [lease.id])
      #expect(FileManager.default.fileExists(atPath: place.path("worker/worker.json")))
    }
  }

  @Test func anEndedCertificateIsToldAndAnInvitationReplacesIt() async throws {
    let authority = authority
    try await StubCoordinator.run(authority: authority) { url, state in
      await state.update { $0.validSeconds = -1 }
      let invitation = try await state.invitation(url, authority)
      _ = try await WorkerDaemon.join(configuration(invitation))
      await state.update { $0.validSeconds = 3600 }
      try await withWorker(configuration()) { reports in
        let report = try await reports.wait { $0.coordinatorProblem != nil }
        #expect(report.coordinatorProblem?.contains("this worker's certificate") == true)
      }
      try await withWorker(configuration(invitation)) { try await $0.wait(for: Self.isIdle) }
    }
  }

  @Test func theAddressChangesUnderTheSameAuthority() async throws {
    let (authority, place) = (authority, place)
    let state = StubState()
    try await StubCoordinator.run(authority: authority, state: state) { old, _ in
      let first = try await WorkerDaemon.join(configuration(state.invitation(old, authority)))
      try await StubCoordinator.run(authority: authority, state: state) { new, _ in
        let key = try Data(contentsOf: URL(fileURLWithPath: place.path("worker/key.pem")))
        let expectMove: @Sendable (String) throws -> Void = { url in
          let stored = try #require(try self.member())
          #expect(stored.record.url == url)
          #expect(stored.record.workerID == first.record.workerID)
          #expect(stored.authority == first.authority)
          #expect(try Data(contentsOf: URL(fileURLWithPath: place.path("worker/key.pem"))) == key)
        }
        // By an invitation, before and while it runs.
        _ = try await WorkerDaemon.join(configuration(state.invitation(new, authority)))
        try expectMove(new)
        try await withWorker(configuration(state.invitation(old, authority))) { reports in
          while try self.member()?.record.url != old { try await reports.wait { _ in true } }
          try await reports.wait(for: Self.isIdle)
        }
        try expectMove(old)
        // By the owner's command, without a worker and with one.
        _ = try await WorkerDaemon.move(configuration(), to: new)
        try expectMove(new)
        try await withWorker(configuration()) { reports in
          try await reports.wait(for: Self.isIdle)
          let socket = ControlSocket(dataFolder: place.path("worker"))
          #expect(try await socket.move(to: old).coordinator == old)
          try expectMove(old)
          await #expect(throws: ControlError.self) {
            try await socket.move(to: "https://127.0.0.1:1")
          }
          try expectMove(old)
        }
        // By the coordinator's announcement.
        await state.update { $0.nextAddress = new }
        try await withWorker(configuration()) { reports in
          while try self.member()?.record.url != new { try await reports.wait { _ in true } }
        }
        try expectMove(new)
        #expect(await state.requests.filter { $0 == "enroll" }.count == 1)
      }
    }
  }

  @Test func anotherAuthorityIsNotMovedTo() async throws {
    let (authority, other) = (authority, try TestAuthority(name: "other"))
    try await StubCoordinator.run(authority: authority) { url, state in
      _ = try await WorkerDaemon.join(configuration(state.invitation(url, authority)))
      try await StubCoordinator.run(authority: other) { elsewhere, stranger in
        let failure = await #expect(throws: RequestFailure.self) {
          try await WorkerDaemon.move(configuration(), to: elsewhere)
        }
        let words = "\(try #require(failure))"
        #expect(words.contains(try other.fingerprint.hex))
        #expect(words.contains(try authority.fingerprint.hex))
        #expect(await stranger.requests == ["authority"])
        #expect(try member()?.record.url == url)
      }
    }
  }

  @Test func aMachineIsRenamed() async throws {
    let (authority, place) = (authority, place)
    try await StubCoordinator.run(authority: authority) { url, state in
      let invitation = try await state.invitation(url, authority)
      let first = try await WorkerDaemon.join(configuration(invitation))
      try await WorkerDaemon.rename(configuration(), to: "attic")
      #expect(await state.workerName == "attic")
      try await withWorker(configuration()) { reports in
        try await reports.wait(for: Self.isIdle)
        _ = try await ControlSocket(dataFolder: place.path("worker")).rename(to: "cellar")
        try await reports.wait(for: Self.isIdle)
      }
      #expect(await state.workerName == "cellar")
      #expect(try member()?.record.workerID == first.record.workerID)
    }
  }

  @Test(arguments: ["worker.json", "client.pem", "ca.pem"])
  func aDamagedFileIsNamedWithItsCure(name: String) async throws {
    let (authority, place) = (authority, place)
    try await StubCoordinator.run(authority: authority) { url, state in
      let invitation = try await state.invitation(url, authority)
      _ = try await WorkerDaemon.join(configuration(invitation))
      let path = place.path("worker/\(name)")
      let whole = try Data(contentsOf: URL(fileURLWithPath: path))
      try whole.prefix(5).write(to: URL(fileURLWithPath: path))
      let error = await #expect(throws: FileError.self) {
        try await withWorker(configuration()) { _ in }
      }
      #expect(error?.path == path)
      #expect(error?.reason.contains("tally worker join") == true)
      // The cure works.
      _ = try await WorkerDaemon.join(configuration(invitation))
      try await withWorker(configuration()) { try await $0.wait(for: Self.isIdle) }
    }
  }

  // MARK: Trouble in words

  @Test func anotherAuthorityInItsPlaceIsTold() async throws {
    let (authority, other) = (authority, try TestAuthority(name: "other"))
    let port = try await StubCoordinator.run(authority: authority) { url, state in
      _ = try await WorkerDaemon.join(configuration(state.invitation(url, authority)))
      return Int(url.split(separator: ":").last ?? "") ?? 0
    }
    try await StubCoordinator.run(authority: other, port: port) { _, _ in
      try await withWorker(configuration()) { reports in
        let report = try await reports.wait { $0.summary.contains("trying again") }
        #expect(report.summary.contains("another authority answers there"))
        #expect(report.summary.contains(try other.fingerprint.hex))
        #expect(!report.summary.contains("SSL") && !report.summary.contains(".cc"))
      }
    }
  }

  @Test func plainHTTPAndARefusedConnectionAreTold() async throws {
    let server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.addHandler(PlainServer())
        }
      }
      .bind(host: "127.0.0.1", port: 0).get()
    let port = server.localAddress?.port ?? 0
    let fingerprint = try authority.fingerprint
    let plain = Invitation(url: "https://127.0.0.1:\(port)", secret: "s", authority: fingerprint)
    let words = await Self.words { try await WorkerDaemon.join(configuration(plain)) }
    #expect(words.contains("HTTP without TLS"), "\(words)")
    try await server.close()
    let silence = await Self.words { try await WorkerDaemon.join(configuration(plain)) }
    #expect(silence.contains("Connection refused"), "\(silence)")
  }

  @Test func wrongClocksAreToldWithBothTimes() {
    let trusted = Digest(hex: String(repeating: "a", count: 64))
    func words(_ theirs: Int?, now: Int) -> String {
      ConnectionTrouble.untrusted.words(
        evidence: .init(authority: trusted, unixSeconds: theirs), trusted: trusted, now: now)
    }
    let late = words(1_800_000_000, now: 1_765_000_000)
    #expect(late.contains("not valid yet"))
    #expect(late.contains("2025-12-06T") && late.contains("2027-01-15T"))
    #expect(words(1_765_000_000, now: 1_800_000_000).contains("not valid any more"))
    #expect(words(1_800_000_000, now: 1_800_000_010).contains("has to renew it"))
    #expect(ConnectionTrouble.untrusted.words(now: 0).contains("--ca FILE"))
  }

  @Test func aServerThatIsNoCoordinatorIsNotSpokenOfAsOne() {
    let troubles: [ConnectionTrouble] = [
      .untrusted, .otherHost, .plainHTTP, .certificateRefused("it is not accepted"), .closed,
    ]
    for trouble in troubles {
      let words = trouble.wordsOfServer
      #expect(!words.contains("coordinator") && !words.contains("worker"), "\(words)")
      #expect(!words.contains("--ca"), "\(words)")
    }
    #expect(ConnectionTrouble.other("no route").wordsOfServer == "no route")
  }

  private static func words(_ body: () async throws -> some Sendable) async -> String {
    do {
      _ = try await body()
      return "no failure"
    } catch {
      return "\(error)"
    }
  }
}

/// Answers whatever arrives with HTTP.
private final class PlainServer: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    let answer = ByteBuffer(string: "HTTP/1.1 400 Bad Request\r\n\r\n")
    context.writeAndFlush(wrapOutboundOut(answer), promise: nil)
  }
}
