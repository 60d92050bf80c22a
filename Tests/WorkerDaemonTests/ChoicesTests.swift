import Foundation
import Testing
import TestSupport
import WireProtocol
import WorkerCore
import WorkerDaemon

/// Which work a machine takes, from the file to the coordinator.
@Suite(.timeLimit(.minutes(5))) struct ChoicesTests {
  let place: TemporaryFolder
  let authority: TestAuthority

  init() throws {
    place = try TemporaryFolder()
    authority = try TestAuthority()
  }

  private var file: ChoicesFile {
    get throws { ChoicesFile(in: try WorkerFolder(place.path("w"))) }
  }

  @Test func aMisspeltChoiceIsRefusedWithWhatThereIs() throws {
    let file = try file
    try file.save(WorkChoices(models: ["a"]))
    #expect(try file.load() == WorkChoices(models: ["a"]))
    for (text, reason) in [
      (#"{"model": ["a"]}"#, "kinds, models, licences, pools"),
      (#"{"kinds": ["dance"]}"#, "generate"),
      (#"{"pools": ["-secret"]}"#, "public, trusted"), (#"{"models": "a"}"#, "lists of names"),
      (#"{"models": ["a b"]}"#, "without commas"), ("rubbish", "not a JSON object"),
    ] {
      try Data(text.utf8).write(to: URL(fileURLWithPath: file.path))
      let error = #expect(throws: FileError.self) { try file.load() }
      #expect(error.map { "\($0)".contains(reason) } == true, "\(text): \(error as Any)")
    }
  }

  @Test func choicesAreSentObeyedAndShownWhileItRuns() async throws {
    let (place, authority, file) = (place, authority, try file)
    try await StubCoordinator.run(authority: authority) { url, state in
      let model = try await state.addModel(chunks: [Data("chunk".utf8)])
      var configuration = WorkerConfiguration(dataFolder: place.path("w"))
      configuration.invitation = try await state.invitation(url, authority)
      let socket = ControlSocket(dataFolder: place.path("w"))
      try await withWorker(configuration) { reports in
        try await reports.wait { $0.summary.hasPrefix("idle") }
        #expect(await state.leaseRequests.allSatisfy { $0.choices == nil })
        let choices = WorkChoices(models: ["smol*"])
        try file.save(choices)
        let shown = try await StatusTests.status(socket) { $0.choices != nil }
        #expect(shown.choices == choices)
        while await state.leaseRequests.last?.choices != choices {
          try await Task.sleep(for: .milliseconds(20))
        }
        // This coordinator does not say what its units are about: nothing of it is taken.
        let lease = try await state.addUnit(1, model: model, inputs: Data("inputs".utf8))
        while await state.abandonments[lease.id] == nil {
          try await Task.sleep(for: .milliseconds(20))
        }
        #expect(await state.uploads.isEmpty)
        let idle = try await StatusTests.status(socket) { $0.summary.contains("did not choose") }
        #expect(idle.unit == nil)
        // A file that makes no sense leaves what was chosen in force, and says so.
        try Data("{".utf8).write(to: URL(fileURLWithPath: file.path))
        let broken = try await StatusTests.status(socket) { $0.preferences_problem != nil }
        #expect(broken.choices == choices)
      }
    }
  }
}
