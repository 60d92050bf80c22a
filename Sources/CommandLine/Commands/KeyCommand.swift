import ArgumentParser
import CoordinatorAPI
import CoordinatorCore
import CoordinatorStore
import Foundation

/// API keys of those who submit batches.
struct KeyCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "key", abstract: "Make, list and revoke API keys.",
    discussion: """
      A key owns its files and batches; other keys cannot see them. The coordinator keeps a hash \
      only, so a key is shown once. Keys share the fleet by weight: a key of weight 2 gets twice \
      the work done of a key of weight 1 while both have some waiting.
      """,
    subcommands: [Create.self, List.self, Revoke.self])

  struct Create: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Make a key and show it, once.",
      discussion: """
        EXAMPLES:
          tally key create ada
          tally key create thesis --weight 0.5 --save
        """)

    @Argument(help: "Whose or what for; you alone see this.")
    var name: String

    @Option(help: "Its share against other keys, 0.01 to 100.")
    var weight = 1.0

    @Flag(
      help: """
        Also write it, with the coordinator's address and authority, to ~/.config/tally/client.json.
        """)
    var save = false

    @Flag(help: "Print JSON.")
    var json = false

    @OptionGroup var data: DataOptions

    private struct Report: Encodable {
      let id: String
      let name: String
      let key: String
    }

    func validate() throws {
      guard (0.01...100).contains(weight) else {
        throw ValidationError("--weight takes 0.01 to 100")
      }
    }

    func run() async throws {
      let folder = try data.open()
      let key = "tally-" + Secret.make()
      let record = try await folder.store.createKey(
        NewKey(name: name, hash: Secret.hash(key), weight: weight),
        now: folder.now())
      if save {
        let saved = try SavedConfiguration(
          url: PublicAddress.load(from: folder.url), key: key,
          ca: folder.url.appending(path: "ca.pem").path
        ).save()
        Terminal.error.line("Written to \(saved.path).")
      }
      if json {
        try printJSON(Report(id: record.id, name: name, key: key))
      } else {
        Terminal.output.line(key)
        Terminal.error.line("This is \(record.id). The key is not shown again.")
      }
    }
  }

  struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "List the keys, without their secrets.")

    @Flag(help: "Print JSON.")
    var json = false

    @OptionGroup var data: DataOptions

    private struct Row: Encodable {
      let id: String
      let name: String
      let weight: Double
      let created_at: Int
      let revoked_at: Int?
    }

    func run() async throws {
      let keys = try await data.open().store.keys()
      if json {
        return try printJSON(
          keys.map {
            Row(
              id: $0.id, name: $0.name, weight: $0.weight, created_at: $0.createdAt.seconds,
              revoked_at: $0.revokedAt?.seconds)
          })
      }
      var table = TextTable(
        .text("KEY"), .text("NAME"), .number("WEIGHT"), .text("CREATED"), .text("REVOKED"))
      for key in keys {
        table.add(
          key.id, key.name, String(format: "%g", key.weight), Spelled.time(key.createdAt.seconds),
          key.revokedAt.map { Spelled.time($0.seconds) } ?? "")
      }
      Terminal.output.line(table.rendered())
    }
  }

  struct Revoke: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Make a key useless; its batches go on.")

    @Argument(help: "The key's identifier, key_..., from `tally key list`.")
    var id: String

    @OptionGroup var data: DataOptions

    func run() async throws {
      let folder = try data.open()
      guard try await folder.store.revokeKey(id, now: folder.now()) else {
        throw CommandError("there is no key \(id)")
      }
      Terminal.output.line("\(id) is revoked")
    }
  }
}
