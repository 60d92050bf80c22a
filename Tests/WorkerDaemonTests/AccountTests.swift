import Foundation
import Testing
import TestSupport
import WireProtocol
import WorkerDaemon

/// What the machine's owner decides of the account, through the worker's socket.
@Suite(.timeLimit(.minutes(5))) struct AccountTests {
  let place: TemporaryFolder
  let authority: TestAuthority

  init() throws {
    place = try TemporaryFolder()
    authority = try TestAuthority()
  }

  private func withMember(
    _ body: @escaping @Sendable (ControlSocket, StubState, _ url: String) async throws -> Void
  ) async throws {
    let (place, authority) = (place, authority)
    try await StubCoordinator.run(authority: authority) { url, state in
      var configuration = WorkerConfiguration(dataFolder: place.path("w"))
      configuration.invitation = try await state.invitation(url, authority)
      try await withWorker(configuration) { reports in
        try await reports.wait { $0.workerID != nil }
        let socket = ControlSocket(dataFolder: place.path("w"))
        _ = try await StatusTests.status(socket) { _ in true }
        try await body(socket, state, url)
      }
    }
  }

  @Test func consentIsGivenAndTakenBack() async throws {
    try await withMember { socket, _, _ in
      let before = try await socket.account()
      #expect(before == OwnAccount(name: "ada", isPublic: false, country: "Ireland"))
      let named = try await socket.changeAccount(OwnAccountChange(isPublic: true, team: "Engines"))
      #expect(named.isPublic && named.team == "Engines" && named.country == "Ireland")
      #expect(try await socket.changeAccount(OwnAccountChange(isPublic: false, team: "")) == before)
    }
  }

  @Test func aKeyIsShownOnceAndKeptNowhere() async throws {
    try await withMember { socket, state, url in
      let note = try await socket.makeAccountKey()
      #expect(note.key == "tally-account-0")
      #expect(note.page == url + "/account" && !note.page.contains(note.key))
      let told = try await socket.logs(after: 0, limit: 1000).lines.map(\.text).joined()
      #expect(!told.contains(note.key))
      #expect(try await socket.revokeAccountKeys() == 1)
      #expect(await state.accountKeys.isEmpty)
    }
  }

  @Test func whatTheCoordinatorRefusesIsSaidInItsWords() async throws {
    try await withMember { socket, state, _ in
      let longTeam = "The team has at most 254 characters, on one line."
      await state.update {
        $0.refusals["account"] = [
          .init(status: .badRequest, code: "invalid_value", message: longTeam),
          .init(status: .notFound, code: "unknown_url", message: "Unknown request URL"),
          .init(status: .serviceUnavailable, code: nil, message: "down"),
        ]
      }
      let refused = await #expect(throws: ControlError.self) {
        try await socket.changeAccount(OwnAccountChange(team: "x"))
      }
      #expect(refused == .refused(longTeam))
      let old = await #expect(throws: ControlError.self) { try await socket.account() }
      #expect(old?.description.contains("older") == true)
      let down = await #expect(throws: ControlError.self) { try await socket.account() }
      #expect(down?.description.contains("busy") == true)
    }
  }
}
