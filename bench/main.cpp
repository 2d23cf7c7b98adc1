// Hands the C table of benchmarks to Google Benchmark and prints what the ratios say: each row's
// median time by group, over the row's "native" time. The only C++ of the benchmarks.
#include <benchmark/benchmark.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "bench/bench.h"

namespace
{

struct Times {
    std::vector<double> samples;
    double median() const
    {
        std::vector<double> sorted = samples;
        std::sort(sorted.begin(), sorted.end());
        return sorted.empty() ? 0 : sorted[sorted.size() / 2];
    }
};

// Collects every repetition in nanoseconds by row name and group; the console shows nothing until
// the end.
class Collector : public benchmark::BenchmarkReporter
{
  public:
    bool ReportContext(const Context &) override
    {
        return true;
    }
    void ReportRuns(const std::vector<Run> &runs) override
    {
        for (const Run &run : runs) {
            if (run.run_type != Run::RT_Iteration || run.error_occurred)
                continue;
            const std::string &name = run.run_name.function_name;
            const size_t slash = name.find('/');
            const auto items = run.counters.find("items");
            const double per = items == run.counters.end() ? 1 : items->second.value;
            const double ns =
                run.real_accumulated_time / static_cast<double>(run.iterations) / per * 1e9;
            rows[name.substr(slash + 1)][name.substr(0, slash)].samples.push_back(ns);
            if (progress)
                std::fprintf(stderr, "\r%-40s", name.c_str());
        }
    }
    std::map<std::string, std::map<std::string, Times>> rows;
    const bool progress = isatty(STDERR_FILENO) != 0;
};

void print_time(double ns)
{
    if (ns < 1e3)
        std::printf("%11.1f ns", ns);
    else if (ns < 1e6)
        std::printf("%11.2f us", ns / 1e3);
    else
        std::printf("%11.2f ms", ns / 1e6);
}

void print_ratios(const Collector &collector)
{
    double logs = 0, worst = 0;
    int count = 0;
    std::printf("\n%-16s %14s %14s %8s\n", "program", "native", "interpreter", "ratio");
    for (const auto &row : collector.rows) {
        const auto native = row.second.find("native"), interp = row.second.find("interp");
        if (native == row.second.end() || interp == row.second.end())
            continue;
        const double ratio = interp->second.median() / native->second.median();
        std::printf("%-16s", row.first.c_str());
        print_time(native->second.median());
        print_time(interp->second.median());
        std::printf(" %8.2f\n", ratio);
        logs += std::log(ratio);
        worst = std::max(worst, ratio);
        count++;
    }
    if (count != 0)
        std::printf("%-16s %28s geometric mean %.2f, worst %.2f\n", "", "", std::exp(logs / count),
                    worst);
    std::printf("\n");
    for (const auto &row : collector.rows)
        for (const auto &group : row.second)
            if (group.first != "native" && group.first != "interp") {
                std::printf("%-32s", (group.first + " " + row.first).c_str());
                print_time(group.second.median());
                std::printf("\n");
            }
}

void run_one(benchmark::State &state, const struct bench *bench)
{
    for (auto _ : state)
        bench->run(bench->context);
    if (bench->items != 0)
        state.counters["items"] = bench->items;
}

} // namespace

int main(int argc, char **argv)
{
    // Short interleaved repetitions: a slow phase of the machine hits all groups alike.
    std::vector<char *> args(argv, argv + argc);
    std::string interleave = "--benchmark_enable_random_interleaving=true";
    std::string repetitions = "--benchmark_repetitions=7", time = "--benchmark_min_time=0.05";
    args.insert(args.begin() + 1, {interleave.data(), repetitions.data(), time.data()});
    int count = static_cast<int>(args.size());
    benchmark::Initialize(&count, args.data());
    if (count < 2) {
        std::fprintf(stderr, "usage: javm-bench [--benchmark_...] IMAGES\n");
        return 2;
    }
    size_t rows = 0;
    const struct bench *table = bench_table(args[1], &rows);
    if (table == nullptr)
        return 1;
    for (size_t i = 0; i < rows; i++) {
        const std::string name = std::string(table[i].group) + "/" + table[i].name;
        benchmark::RegisterBenchmark(name.c_str(), run_one, &table[i])->UseRealTime();
    }
    Collector collector;
    benchmark::RunSpecifiedBenchmarks(&collector);
    print_ratios(collector);
    return 0;
}
