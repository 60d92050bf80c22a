import Foundation
import ReaderProbes
import Testing

/// What fuzzing kept: inputs that together reach all code of the readers that it has reached. A
/// trap ends the test process.
@Suite struct ReplayTests {
  private static let corpora = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent()
    .appendingPathComponent("Fixtures/fuzzing")

  @Test(arguments: ReaderProbe.allCases)
  func everyInputIsAcceptedOrRefused(_ probe: ReaderProbe) throws {
    let folder = Self.corpora.appendingPathComponent(probe.rawValue)
    let files = try FileManager.default.contentsOfDirectory(
      at: folder, includingPropertiesForKeys: nil)
    #expect(files.count >= 10)
    var refused = 0
    for file in files.sorted(by: { $0.path < $1.path }) {
      if try !probe.accepts([UInt8](Data(contentsOf: file))) { refused += 1 }
    }
    #expect(refused > 0)
  }
}
