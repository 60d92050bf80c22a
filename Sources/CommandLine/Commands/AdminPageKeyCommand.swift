import ArgumentParser
import CoordinatorAPI
import CoordinatorCore
import CoordinatorStore

/// Makes the key that opens the dashboard as the operator.
struct AdminPageKeyCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "page-key", abstract: "Make a key that shows every name on the dashboard, once.",
    discussion: """
      Entered on the dashboard at /account, it shows what everyone sees with the names of all \
      accounts and workers, also of those that are not public. It changes nothing and opens no \
      account. A new key takes the place of the one before; the coordinator keeps a hash only.

      EXAMPLES:
        tally admin page-key
        tally admin page-key --revoke
      """)

  @Flag(help: "Make no key; make the one there is useless.")
  var revoke = false

  @Flag(help: "Print JSON.")
  var json = false

  @OptionGroup var data: DataOptions

  private struct Report: Encodable {
    let key: String?
  }

  func run() async throws {
    let store = try data.open().store
    guard !revoke else {
      try await store.setOperatorKey(hash: nil)
      if json { return try printJSON(Report(key: nil)) }
      return Terminal.output.line("no key opens the dashboard as the operator")
    }
    let key = OperatorKey()
    try await store.setOperatorKey(hash: key.hash)
    if json { return try printJSON(Report(key: key.text)) }
    Terminal.output.line(key.text)
    Terminal.error.line("Enter it on the dashboard at \(AccountKey.page). It is not shown again.")
  }
}
