import ArgumentParser
import Commands
import Testing

/// Command lines, without anything being run.
@Suite("Parsing")
struct ParsingTests {
  /// The type that a line of words makes, by its name.
  private func command(_ line: String) throws -> String {
    let words = line.split(separator: " ").map(String.init)
    return String(describing: type(of: try Tally.parseAsRoot(words)))
  }

  @Test(
    "a command line is understood",
    arguments: [
      ("submit /dev/null --pool trusted --window 7d --metadata a=b -o out", "SubmitCommand"),
      ("submit /dev/null --check --skip-bad-lines", "SubmitCommand"),
      ("status", "StatusCommand"),
      ("status batch_1 --wait --json", "StatusCommand"),
      ("results batch_1 --errors --url https://localhost:1 --key k --ca ca.pem", "ResultsCommand"),
      ("cancel batch_1", "CancelCommand"),
      ("pause ftjob-1", "PauseCommand"),
      ("resume ftjob-1", "ResumeCommand"),
      ("finetune /dev/null --model m --suffix s --shards 2 --detach", "FinetuneCommand"),
      ("adapter list --json", "ListCommand"),
      ("adapter show folder", "ShowCommand"),
      ("adapter merge folder --model m -o out", "MergeCommand"),
      ("adapter export ft:m --format gguf --output out", "ExportCommand"),
      ("audit ftjob-1 --joins", "AuditCommand"),
      ("stats --days 14 --account ada", "StatsCommand"),
      ("stats --teams", "StatsCommand"),
      ("coordinator --host 0.0.0.0 --port 0 --data folder --host-name a", "CoordinatorCommand"),
      ("invite ada --uses 3 --days 1 --public --trusted", "InviteCommand"),
      ("account list --json", "AccountListCommand"),
      ("account set ada --public --team t --country Norway", "AccountSetCommand"),
      ("account key ada --revoke", "AccountKeyCommand"),
      ("account delete ada --yes", "AccountDeleteCommand"),
      ("key create ada --weight 2 --save", "Create"),
      ("key list", "List"),
      ("key revoke key_1", "Revoke"),
      ("model add hf:a/b --name n --licence mit --dry-run", "Add"),
      ("model list", "List"),
      ("model show n --licence", "Show"),
      ("model inspect m.gguf --json", "Inspect"),
      ("model tensor m.gguf a.weight --output a.safetensors", "TensorCommand"),
      ("admin show --json", "Show"),
      ("admin drain --wait", "Drain"),
      ("admin message --clear", "Message"),
      ("admin weight ada 0.5", "AdminWeightCommand"),
      ("admin quota ada --requests-a-day 5 --stored-bytes none", "AdminQuotaCommand"),
      ("admin priority batch_1 -- -3", "AdminPriorityCommand"),
      ("admin ban ada --reason why", "AdminBanCommand"),
      ("admin audits --limit 5", "AdminAuditsCommand"),
      ("admin storage --sweep --dry-run", "AdminStorageCommand"),
      ("admin backup folder --dry-run", "AdminBackupCommand"),
      ("demo --model /dev/null --prompts /dev/null --threads 1", "DemoCommand"),
      ("worker join tally1.e30 --name n", "Join"),
      ("worker run --threads 2 --memory 1.5 --nice 0 --always", "Run"),
      ("worker status --watch", "WorkerStatusCommand"),
      ("worker pause --for 2h", "WorkerPauseCommand"),
      ("worker logs --lines 3 --follow", "WorkerLogsCommand"),
      ("worker preferences cpu_percent=50", "WorkerPreferencesCommand"),
      ("worker account set --private", "Set"),
      ("worker leave --now -y", "WorkerLeaveCommand"),
      ("generate --model m hello --max-tokens 5 --temperature 0.5 --stop x", "GenerateCommand"),
      ("logits --model m --input a --output b", "LogitsCommand"),
      ("tokenize --tokenizer t --decode", "TokenizeCommand"),
      ("bench products --shape 64x32 --rows 1 --seconds 0", "BenchProductsCommand"),
      ("perplexity text.txt --model m --context 64 --tokens 128", "PerplexityCommand"),
      ("prove --model m --expect 0a", "ProveCommand"),
    ])
  func understood(line: String, type: String) throws {
    #expect(try command(line) == type)
  }

  @Test(
    "what does not go together is refused as a mistake of usage, with the reason",
    arguments: [
      ("status --wait", "--wait needs a BATCH"),
      ("submit /dev/null --check --wait", "--check submits nothing"),
      ("submit /dev/null --metadata note", "--metadata takes KEY=VALUE"),
      ("submit /dev/null/none", "cannot read /dev/null/none"),
      ("submit /dev/null --pool private", "private"),
      ("stats --account a --team b", "exclude each other"),
      ("stats --teams --days 3", "--teams has no history"),
      ("stats --days 0", "--days takes 1 to 3660"),
      ("account set ada --public --private", "exclude each other"),
      ("worker account set", "nothing to change"),
      ("admin message", "give a TEXT or --clear"),
      ("admin minimum-worker-version new", "three numbers"),
      ("admin weight ada 0", "0.01 to 100"),
      ("admin storage --dry-run", "--dry-run belongs to --sweep"),
      ("admin announce-address http://example.org", "an address is https://HOST:PORT"),
      ("coordinator --certificate a.pem", "belong together"),
      ("coordinator --port 70000", "--port takes 0 to 65535"),
      ("coordinator --heartbeat-seconds 9 --silence-seconds 3", "must not exceed"),
      ("finetune /dev/null --model m --detach -o out", "--detach does not wait"),
      ("finetune /dev/null --model no/file.gguf", "there is no file"),
      ("adapter export ft:m --model m -o out", "--model is for a folder's adapter"),
      ("model tensor m.gguf a.weight", "belong together"),
      ("generate --model m --raw --system s hello", "--system has no meaning with --raw"),
      ("worker pause --for 2w", "--for"),
      ("cancel", "<batch>"),
      ("statistics", "statistics"),
    ])
  func refused(line: String, reason: String) {
    let error = #expect(throws: (any Error).self) { try command(line) }
    guard let error else { return }
    #expect(Tally.exitCode(for: error) == .validationFailure)
    let message = Tally.fullMessage(for: error)
    #expect(message.contains(reason), "\(message)")
  }
}
