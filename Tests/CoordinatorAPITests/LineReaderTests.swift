import CoordinatorAPI
import Foundation
import Testing

@Suite struct LineReaderTests {
  private func lines(_ text: String, limit: Int = 100, chunk: Int) async throws -> [LineReader.Line]
  {
    let data = Data(text.utf8)
    var reader = LineReader(maximumLineBytes: limit) { offset, count in
      data.dropFirst(offset).prefix(min(chunk, count))
    }
    var lines: [LineReader.Line] = []
    while let line = try await reader.next() { lines.append(line) }
    return lines
  }

  @Test(arguments: [3, 4, 5, 64]) func splitsAtAnyChunk(_ chunk: Int) async throws {
    func bytes(_ text: String) -> LineReader.Line { .bytes(Array(text.utf8)) }
    #expect(
      try await lines("\u{FEFF}ab\r\n\ncd", chunk: chunk) == [bytes("ab"), bytes(""), bytes("cd")])
    #expect(try await lines("ab\n", chunk: chunk) == [bytes("ab")])
    // Files that were joined; U+FEFF elsewhere is a character.
    #expect(
      try await lines("\u{FEFF}a\n\u{FEFF}b\u{FEFF}\n\u{FEFF}\r\n", chunk: chunk)
        == [bytes("a"), bytes("b\u{FEFF}"), bytes("")])
    #expect(try await lines("", chunk: chunk) == [])
    for blank in ["\n", " \t\n", "\r\r\r\n", "\u{FEFF}\r\n", "\u{FEFF} \r\r\n", "\u{FEFF}"] {
      #expect(try await lines(blank, chunk: chunk).allSatisfy(\.isBlank), "\(Array(blank.utf8))")
    }
    #expect(
      try await lines("abcdefghijk\nb\nabcdefghijkl", limit: 5, chunk: chunk)
        == [.tooLong, bytes("b"), .tooLong])
  }
}
