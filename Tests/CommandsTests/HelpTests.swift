import ArgumentParser
import Commands
import Testing

/// What `tally help COMMAND` says, for every command.
@Suite("Help")
struct HelpTests {
  /// Every command below the root, with the words that lead to it.
  private static func commands(
    below parent: any ParsableCommand.Type = Tally.self, path: [String] = []
  ) -> [(path: [String], type: any ParsableCommand.Type)] {
    parent.configuration.subcommands.flatMap { type in
      let path = path + [type._commandName]
      return [(path, type)] + commands(below: type, path: path)
    }
  }

  @Test("every command says in a sentence what it does")
  func abstracts() {
    let all = Self.commands()
    #expect(all.count > 60)
    for (path, type) in all {
      let abstract = type.configuration.abstract
      #expect(abstract.hasSuffix(".") || abstract.hasSuffix("?"), "\(path): \(abstract)")
      #expect(abstract.first?.isUppercase == true, "\(path): \(abstract)")
      #expect(!abstract.contains("\n"), "\(path)")
    }
  }

  @Test("help is plain text that names the command and its abstract")
  func plainHelp() {
    for (path, type) in Self.commands() {
      let help = Tally.helpMessage(for: type, columns: 1000)
      #expect(help.contains("tally \(path.joined(separator: " "))"), "\(path)")
      #expect(help.contains(type.configuration.abstract), "\(path)")
      let isPlain = help.unicodeScalars.allSatisfy { $0 == "\n" || (32...126).contains($0.value) }
      #expect(isPlain, "\(path)")
    }
  }

  @Test("no two commands of one parent have a name in common")
  func names() {
    let paths = Self.commands().map(\.path)
    #expect(Set(paths).count == paths.count)
  }
}
